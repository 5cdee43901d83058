"use strict";
// The page of a served model. It calls this server only and stores nothing.
const $ = (id) => document.getElementById(id);
const KINDS = { csv: "text/csv", txt: "text/csv", json: "application/json", edf: "application/edf",
  bdf: "application/edf", parquet: "application/vnd.apache.parquet" };
// Sizes of a picture in pixels: its plot, and the axes to the left and below.
const HIGH = 120, LEFT = 72, TOP = 8, BELOW = 22;
let WIDE = 700;
let model = null, asked = null, answer = null, place = 0, explained = false, found = null;

function made(name, attributes = {}, text = "") {
  const svg = ["svg", "path", "rect", "text"].includes(name);
  const one = svg ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
  if (text !== "") one.textContent = text;
  return one;
}
const percent = (value) => (value > 0 && value < 0.001 ? "< 0.1 %" : `${(100 * value).toFixed(1)} %`);

async function send(path, options = {}) {
  const token = $("token").value.trim();
  const headers = { ...options.headers, ...(token ? { authorization: `Bearer ${token}` } : {}) };
  let reply;
  try {
    reply = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("The server does not respond. Is it still running?");
  }
  if (reply.status === 401) $("token-row").hidden = false;
  if (reply.ok) return reply;
  const said = await reply.json();
  throw new Error(said.detail || said.title);
}
const call = async (path, options) => (await send(path, options)).json();

async function readModel() {
  model = await call("v1/model");
  document.title = `Sequela: ${model.title}`;
  $("title").textContent = model.title;
  $("question").textContent = `It predicts ${model.question}.`;
  const signal = model.kind === "signal";
  const whole = model.serves.media_types.length === 1;
  $("formats").textContent = whole
    ? "A whole recording as EDF or BDF, which the model filters first."
    : signal
      ? `EEG as csv or text (a column of µV for each of ${model.signal.n_chans} channel(s)), EDF, BDF, JSON or Parquet; ${model.signal.sfreq} Hz.`
    : model.records.columns
    ? `A csv file with one row per patient and the columns ${model.records.columns.join(", ")}; or a patient's coded visits as JSON.`
    : "A patient's coded visits as JSON, or as csv with the columns time and code.";
  if (signal) { $("sfreq").value = model.signal.sfreq; $("unit").value = model.signal.unit; }
  $("try").hidden = !model.example;
  $("example").textContent = model.example ? `The example: ${model.example.about}` : "";
  showCard();
}

async function tryExample() {
  $("error").textContent = "";
  try {
    const held = new DataTransfer();
    held.items.add(new File([await (await send("v1/example")).text()], model.example.name));
    if (model.kind === "signal") { $("sfreq").value = model.signal.sfreq; $("unit").value = model.signal.unit; }
    chosen(held.files);
    await ask();
  } catch (error) {
    $("error").textContent = error.message;
  }
}

function costOf(cost) {
  if (!cost) return "unknown: the file was exported by an earlier version";
  const count = (value) => value.toLocaleString("en");
  const work = cost.operations === null ? "operations not counted"
    : `${count(cost.operations)} operations per prediction`;
  return `${count(cost.parameters)} parameters; ${work}; trained in ${count(Math.round(cost.train_seconds))} s`;
}

function prepared() {
  const settings = Object.entries(model.signal.preparation || {});
  return settings.map(([name, value]) => `; ${name} ${[value].flat().join(" ")}`).join("");
}

function showCard() {
  const card = $("card"), training = model.training, sets = model.calibration.conformal;
  card.replaceChildren();
  const rows = {
    "Intended use": model.intended_use,
    "Trained on": `${training.title} (${training.licence}); ${training.examples.train} examples`,
    Classes: model.classes.join(", "),
    Reads: model.kind === "signal"
      ? `${model.signal.n_chans} channel(s), ${model.signal.sfreq} Hz, ${model.signal.unit}; segments of ${model.signal.n_times} samples${prepared()}`
      : `${model.records.codes} codes, ${model.records.channels} measurements`,
    Cost: costOf(model.cost),
    "Prediction sets": sets ? `fitted on the validation set, so that ${percent(sets.promised)} of the sets of new examples like those contain the true class` : "none for times to an event",
    "Checksum of the run": model.run.sha256,
  };
  for (const [name, value] of Object.entries(rows)) {
    card.append(made("dt", {}, name), made("dd", {}, value));
  }
}

function kindOf(name, text) {
  const end = name.toLowerCase().split(".").pop();
  if (KINDS[end]) return KINDS[end];
  if (name) throw new Error(`${name}: expected a file that ends in .${Object.keys(KINDS).join(", .")}.`);
  return /^\s*[[{]/.test(text) ? KINDS.json : KINDS.csv;
}

async function ask(event) {
  event?.preventDefault();
  $("error").textContent = "";
  const file = $("file").files[0], text = $("text").value;
  if (!file && !text.trim()) {
    $("error").textContent = "Choose a file, or paste its text.";
    $("file").focus();
    return;
  }
  $("status").textContent = "Predicting…";
  try {
    const body = file || text, kind = kindOf(file ? file.name : "", file ? "" : text);
    const units = new URLSearchParams(model?.kind === "signal" && kind !== KINDS.json
      ? { sfreq: $("sfreq").value, unit: $("unit").value } : {});
    if (!model) await readModel();
    asked = { body, kind, units, name: (file ? file.name : "text").replace(/\.[^.]*$/, "") };
    answer = await call(`v1/view?${units}`, { method: "POST", body, headers: { "content-type": kind } });
    const many = answer.predictions.length;
    $("status").textContent = `${many} prediction${many === 1 ? "" : "s"}.`;
    showAll();
  } catch (error) {
    $("status").textContent = "";
    $("result").hidden = true;
    $("error").textContent = error.message;
  }
}

function showAll() {
  place = 0;
  explained = false;
  $("notes").textContent = answer.notes.join(" ");
  const several = answer.predictions.length > 1;
  $("choose").hidden = !several;
  $("place-label").textContent = answer.patients ? "Patient" : "Segment";
  $("one").textContent = answer.patients ? "One patient" : "One segment";
  $("whole").hidden = !(answer.recording && several);
  if (answer.recording) showWhole();
  $("place").replaceChildren(...answer.predictions.map((one, i) =>
    made("option", { value: i }, `${one.id}: ${one.prediction}, ${percent(one.probabilities[one.prediction])}`)));
  $("result").hidden = false;
  show(0);
  $("result").focus();
}

function showWhole() {
  const { prediction, probabilities } = answer.recording, all = answer.predictions;
  const same = all.filter((one) => one.prediction === prediction).length;
  $("whole-said").textContent = `${prediction}: ${percent(probabilities[prediction])}, the mean of ${all.length} segments. It is the most probable class in ${same} of them.`;
  $("class").replaceChildren(...Object.entries(probabilities).map(([name, chance]) =>
    made("option", { value: name }, `${name} (mean ${percent(chance)})`)));
  $("class").value = prediction;
}

function show(next) {
  place = Math.min(Math.max(next, 0), answer.predictions.length - 1);
  const one = answer.predictions[place];
  $("place").value = String(place);
  $("before").disabled = place === 0;
  $("after").disabled = place === answer.predictions.length - 1;
  $("said").textContent = `${one.prediction}: ${percent(one.probabilities[one.prediction])}`;
  const rows = Object.entries(one.probabilities).map(([name, chance]) => {
    const row = made("tr");
    const bar = made("td", { class: "bar" }, percent(chance));
    const picture = made("svg", { viewBox: "0 0 100 4", "aria-hidden": "true", preserveAspectRatio: "none" });
    picture.append(made("rect", { class: "chance", x: 0, y: 0, height: 4, width: 100 * chance }));
    bar.append(picture);
    row.append(made("th", { scope: "row" }, name), bar, made("td", {}, one.risk ? "" : one.set.includes(name) ? "yes" : "no"));
    return row;
  });
  $("chances").tBodies[0].replaceChildren(...rows);
  const promised = percent((model.calibration.conformal || {}).promised);
  $("set").textContent = one.risk
    ? `Risk of the event: ${Object.entries(one.risk).map(([day, chance]) => `${percent(chance)} by day ${day}`).join(", ")}.`
    : one.set.length
    ? `Prediction set: {${one.set.join(", ")}}. For new examples like those of the validation set, ${promised} of such sets contain the true class.`
    : `Prediction set: empty. The example is unlike those of the validation set, for which ${promised} of the sets contain the true class.`;
  if (!explained) $("moved").replaceChildren();
  found = null;
  draw();
  if (explained) explain();
}

function draw() {
  WIDE = Math.max(220, Math.min($("result").clientWidth, 832) - LEFT - 4);
  const one = answer.predictions[place];
  $("picture").replaceChildren(...(answer.patients ? [timeline(answer.patients[place], one)] : answer.channels.flatMap(trace)));
  if (!$("whole").hidden) $("course").replaceChildren(course($("class").value));
  if (found) drawMoved();
}

// Round numbers from low to high, about as many as asked for.
function ticks(low, high, count) {
  const least = (high - low) / count, power = 10 ** Math.floor(Math.log10(least));
  const step = power * [1, 2, 5, 10].find((each) => each * power >= least * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => +((first + i) * step).toPrecision(6));
}

// A picture with axes: seconds from first to last, and values from low to high.
function plot(id, label, [first, last], [low, high], unit) {
  const svg = made("svg", { viewBox: `${-LEFT} ${-TOP} ${WIDE + LEFT + 4} ${HIGH + TOP + BELOW}`, role: "img", id, "aria-label": label });
  for (const value of ticks(low, high, 3)) {
    const y = (HIGH * (high - value)) / (high - low);
    svg.append(made("path", { class: "grid", d: `M0 ${y.toFixed(1)}H${WIDE}` }),
      made("text", { x: -6, y: y + 4, "text-anchor": "end" }, `${value} ${unit}`));
  }
  for (const value of ticks(first, last, Math.max(3, Math.round(WIDE / 90)))) {
    const x = (WIDE * (value - first)) / (last - first);
    svg.append(made("path", { class: "grid", d: `M${x.toFixed(1)} ${HIGH}v5` }),
      made("text", { x, y: HIGH + 18, "text-anchor": x < 10 ? "start" : x > WIDE - 10 ? "end" : "middle" }, `${value} s`));
  }
  return svg;
}

const seconds = () => answer.n_times / answer.sfreq;
const marked = () => made("rect", { class: "mark", x: (WIDE * place) / answer.predictions.length, y: 0, width: WIDE / answer.predictions.length, height: HIGH });

// Spans of a channel, from one point up to another, as a picture of some seconds.
function drawn(id, label, channel, points, times) {
  const least = channel.least.slice(...points), greatest = channel.greatest.slice(...points);
  const at = (list, most) => list.reduce((a, b) => (most ? Math.max(a, b) : Math.min(a, b)));
  let low = at(least, false), high = at(greatest, true);
  const range = `${low.toFixed(0)} to ${high.toFixed(0)} ${model.signal.unit}`;
  if (low === high) [low, high] = [low - 1, high + 1];
  const svg = plot(id, `${label}, ${range}`, times, [low, high], model.signal.unit);
  const y = (value) => ((HIGH * (high - value)) / (high - low)).toFixed(1);
  const x = (i) => ((WIDE * i) / Math.max(least.length - 1, 1)).toFixed(1);
  const d = least.map((value, i) => `${i ? "L" : "M"}${x(i)} ${y(value)}L${x(i)} ${y(greatest[i])}`).join("");
  svg.append(made("path", { class: "trace", d }));
  return caption(`${label}, ${range}`, svg);
}

function trace(channel, number) {
  const points = channel.least.length, all = answer.predictions.length, length = seconds();
  const name = model.signal.channels[number] || `Channel ${number + 1}`;
  const first = answer.recording ? place * length : 0;
  const near = drawn(`channel-${number}`, `${name}: segment ${place + 1} of ${all}, ${length.toFixed(2)} s`, channel,
    [Math.floor((points * place) / all), Math.ceil((points * (place + 1)) / all)], [first, first + length]);
  if (all === 1) return [near];
  const whole = drawn(`whole-${number}`, `${name}: all ${(all * length).toFixed(1)} s; segment ${place + 1} is marked`, channel,
    [0, points], [0, all * length]);
  whole.querySelector("svg").append(marked());
  return [whole, near];
}

// The probability of a class over the time of a recording; a click shows the segment.
function course(name) {
  const chances = answer.predictions.map((one) => one.probabilities[name]), all = chances.length;
  const label = `Probability of ${name} in each of ${all} segments of ${seconds().toFixed(2)} s; segment ${place + 1} is marked`;
  const svg = plot("course-picture", label, [0, all * seconds()], [0, 100], "%");
  const d = chances.map((chance, i) => `${i ? "V" : "M0 "}${(HIGH * (1 - chance)).toFixed(1)}H${((WIDE * (i + 1)) / all).toFixed(1)}`).join("");
  svg.append(marked(), made("path", { class: "course", d }));
  svg.addEventListener("click", (event) => {
    const box = svg.getBoundingClientRect(), scale = box.width / (WIDE + LEFT + 4);
    show(Math.floor((all * ((event.clientX - box.left) / scale - LEFT)) / WIDE));
  });
  return caption(label, svg);
}

function caption(text, svg) {
  const figure = made("figure");
  figure.append(svg, made("figcaption", { class: "note" }, text));
  return figure;
}

function timeline(patient, one) {
  const list = made("ol", { class: "visits" });
  const unknown = new Set(one.unknown_codes);
  for (const visit of patient.visits) {
    const row = made("li");
    row.append(made("strong", {}, visit.time), " ");
    const facts = [...visit.codes, ...Object.entries(visit.values).map(([code, value]) => `${code} = ${value}`)];
    facts.forEach((fact, i) => {
      const lost = unknown.has(fact.split(" = ")[0]);
      row.append(i ? ", " : "", lost ? made("span", { class: "unknown" }, `${fact} (unknown to the model)`) : fact);
    });
    list.append(row);
  }
  return list;
}

// After the first request, each shown example is explained.
async function explain() {
  explained = true;
  const of = answer, row = place;
  const here = () => answer === of && place === row;
  if (!$("moved").childElementCount) $("moved").textContent = "Computing…";
  try {
    const query = new URLSearchParams(asked.units);
    query.set("example", place);
    const said = await call(`v1/explain?${query}`, { method: "POST", body: asked.body, headers: { "content-type": asked.kind } });
    if (here()) showMoved(said);
  } catch (error) {
    if (!here()) return;
    $("moved").textContent = "";
    $("error").textContent = error.message;
  }
}

// Bars in the picture of the segment: up for parts that raised the probability, down for others.
function drawMoved() {
  if (answer.patients) return;
  const most = Math.max(...found.parts.map((part) => Math.abs(part.raised))) || 1;
  for (const part of found.parts) {
    const wide = WIDE / answer.n_times, high = ((HIGH / 2) * Math.abs(part.raised)) / most;
    $(`channel-${part.channel}`).prepend(made("rect", { class: part.raised > 0 ? "up" : "down", width: wide * (part.end - part.first),
      x: wide * part.first, y: part.raised > 0 ? HIGH / 2 - high : HIGH / 2, height: high }));
  }
}

function showMoved(said) {
  if (!answer.patients && !said.stable) {
    const why = said.agreement === null
      ? "A segment is explained only with those around it: choose a whole recording."
      : `No explanation is shown: if the segment begins a little earlier or later, other parts matter (correlation ${said.agreement.toFixed(2)}).`;
    $("moved").replaceChildren(made("p", {}, why));
    return;
  }
  found = said;
  drawMoved();
  const ranked = [...found.parts].sort((a, b) => Math.abs(b.raised) - Math.abs(a.raised));
  const table = made("table");
  table.append(made("caption", {}, `Contributions to the probability of ${found.class}, ${percent(found.probability)}`));
  const head = made("tr");
  for (const name of [answer.patients ? "Code" : "Part", "Change of the probability without it"]) head.append(made("th", { scope: "col" }, name));
  const top = made("thead");
  top.append(head);
  const body = made("tbody");
  for (const part of ranked.slice(0, 10)) {
    const row = made("tr"), second = (sample) => ((answer.recording ? place * seconds() : 0) + sample / answer.sfreq).toFixed(2);
    const name = answer.patients ? `${part.code}, ${part.time}`
      : `${second(part.first)} to ${second(part.end)} s${answer.channels.length > 1 ? `, channel ${part.channel + 1}` : ""}`;
    row.append(made("th", { scope: "row" }, name), made("td", {}, `${part.raised > 0 ? "−" : "+"}${(100 * Math.abs(part.raised)).toFixed(2)} points`));
    body.append(row);
  }
  table.append(top, body);
  $("moved").replaceChildren(table, made("p", { class: "note" }, `${answer.patients ? "" : `In the picture of the segment, bars up mark parts that raised the probability, and bars down parts that lowered it. Changes are means over this segment and segments that begin up to a third earlier or later (correlation ${found.agreement.toFixed(2)}). `}Each part was removed alone. If two parts carry the same information, removing one changes little.`));
}

function save(end, kind, text) {
  const link = made("a", { href: URL.createObjectURL(new Blob([text], { type: kind })), download: `${asked.name}-predictions.${end}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function saveCsv() {
  const cell = (value) => (/[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const start = (i) => (answer.recording ? [(i * seconds()).toFixed(3)] : []);
  const names = Object.keys(answer.predictions[0].probabilities);
  const head = ["id", ...(answer.recording ? ["start_seconds"] : []), "prediction", ...names.map((name) => `p_${name}`), "prediction_set"];
  const rows = answer.predictions.map((one, i) => [one.id, ...start(i), one.prediction, ...names.map((name) => one.probabilities[name]), one.set.join(" | ")]);
  if (answer.recording) rows.push(["recording (mean)", "", answer.recording.prediction, ...names.map((name) => answer.recording.probabilities[name]), ""]);
  save("csv", "text/csv", [head, ...rows].map((row) => row.map((value) => cell(String(value))).join(",")).join("\n") + "\n");
}

function saveJson() {
  const { recording, predictions, notes } = answer;
  save("json", "application/json", JSON.stringify({ model: model.run.sha256, file: asked.name, notes, recording, predictions }, null, 1));
}

function chosen(files) {
  if (files) $("file").files = files;
  const name = $("file").files[0]?.name || "";
  let kind = "";
  $("error").textContent = "";
  try {
    kind = kindOf(name, "");
  } catch (error) {
    $("error").textContent = error.message;
  }
  $("units").hidden = !(model?.kind === "signal" && kind !== KINDS.edf && kind !== KINDS.json);
}

$("form").addEventListener("submit", ask);
$("file").addEventListener("change", () => chosen());
$("text").addEventListener("input", () => { $("units").hidden = model?.kind !== "signal" || kindOf("", $("text").value) === KINDS.json; });
$("token").addEventListener("change", () => start());
$("explain").addEventListener("click", explain);
$("try").addEventListener("click", tryExample);
$("save-csv").addEventListener("click", saveCsv);
$("save-json").addEventListener("click", saveJson);
$("class").addEventListener("change", draw);
window.addEventListener("resize", () => { if (!$("result").hidden) draw(); });
$("before").addEventListener("click", () => show(place - 1));
$("after").addEventListener("click", () => show(place + 1));
$("place").addEventListener("change", () => show(Number($("place").value)));
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", name === "dragover");
    if (name === "drop" && event.dataTransfer.files.length) { chosen(event.dataTransfer.files); ask(); }
  });
}
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) { chosen(event.clipboardData.files); ask(); }
});
async function start() {
  try {
    await readModel();
    $("error").textContent = "";
  } catch (error) {
    $("question").textContent = "";
    $("error").textContent = error.message;
  }
}
start();
