"use strict";
// The page of a served model. It calls this server only and stores nothing.
const $ = (id) => document.getElementById(id);
const KINDS = { csv: "text/csv", txt: "text/csv", json: "application/json", edf: "application/edf",
  bdf: "application/edf", parquet: "application/vnd.apache.parquet" };
const WIDE = 800, HIGH = 120;
let model = null, asked = null, answer = null, place = 0, explained = false;

function made(name, attributes = {}, text = "") {
  const svg = ["svg", "path", "rect", "title"].includes(name);
  const one = svg ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
  if (text !== "") one.textContent = text;
  return one;
}
const percent = (value) => (value > 0 && value < 0.001 ? "< 0.1 %" : `${(100 * value).toFixed(1)} %`);

async function call(path, options = {}) {
  const token = $("token").value.trim();
  const headers = { ...options.headers, ...(token ? { authorization: `Bearer ${token}` } : {}) };
  let reply;
  try {
    reply = await fetch(path, { ...options, headers });
  } catch {
    throw new Error("The server does not respond. Is it still running?");
  }
  const said = await reply.json();
  if (reply.status === 401) $("token-row").hidden = false;
  if (!reply.ok) throw new Error(said.detail || said.title);
  return said;
}

async function readModel() {
  model = await call("v1/model");
  document.title = `Sequela: ${model.title}`;
  $("title").textContent = model.title;
  $("question").textContent = `It predicts ${model.question}.`;
  const signal = model.kind === "signal";
  $("formats").textContent = signal
    ? `EEG as csv or text (a column of µV for each of ${model.signal.n_chans} channel(s)), EDF, BDF, JSON or Parquet; ${model.signal.sfreq} Hz.`
    : "A patient's coded visits as JSON, or as csv with the columns time and code.";
  if (signal) { $("sfreq").value = model.signal.sfreq; $("unit").value = model.signal.unit; }
  showCard();
}

function costOf(cost) {
  if (!cost) return "unknown: the file was exported by an earlier version";
  const count = (value) => value.toLocaleString("en");
  const work = cost.operations === null ? "operations not counted"
    : `${count(cost.operations)} operations per prediction`;
  return `${count(cost.parameters)} parameters; ${work}; trained in ${count(Math.round(cost.train_seconds))} s`;
}

function showCard() {
  const card = $("card"), training = model.training, sets = model.calibration.conformal;
  card.replaceChildren();
  const rows = {
    "Intended use": model.intended_use,
    "Trained on": `${training.title} (${training.licence}); ${training.examples.train} examples`,
    Classes: model.classes.join(", "),
    Reads: model.kind === "signal"
      ? `${model.signal.n_chans} channel(s), ${model.signal.sfreq} Hz, ${model.signal.unit}; segments of ${model.signal.n_times} samples`
      : `${model.records.codes} codes, ${model.records.channels} measurements`,
    Cost: costOf(model.cost),
    "Prediction sets": `fitted on the validation set, so that ${percent(sets.promised)} of the sets of new examples like those contain the true class`,
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
    asked = { body, kind, units };
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
  $("place").replaceChildren(...answer.predictions.map((one, i) =>
    made("option", { value: i }, `${one.id}: ${one.prediction}, ${percent(one.probabilities[one.prediction])}`)));
  $("result").hidden = false;
  show(0);
  $("result").focus();
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
    row.append(made("th", { scope: "row" }, name), bar, made("td", {}, one.set.includes(name) ? "yes" : "no"));
    return row;
  });
  $("chances").tBodies[0].replaceChildren(...rows);
  const promised = percent(model.calibration.conformal.promised);
  $("set").textContent = one.set.length
    ? `Prediction set: {${one.set.join(", ")}}. For new examples like those of the validation set, ${promised} of such sets contain the true class.`
    : `Prediction set: empty. The example is unlike those of the validation set, for which ${promised} of the sets contain the true class.`;
  if (!explained) $("moved").replaceChildren();
  $("picture").replaceChildren(...(answer.patients ? [timeline(answer.patients[place], one)] : answer.channels.flatMap(trace)));
  if (explained) explain();
}

// The path of the spans of a channel, from one point up to another.
function drawn(channel, first, last) {
  const least = channel.least.slice(first, last), greatest = channel.greatest.slice(first, last);
  const low = Math.min(...least), high = Math.max(...greatest), span = high - low || 1;
  const y = (value) => ((HIGH * (high - value)) / span).toFixed(1);
  const x = (i) => ((WIDE * i) / Math.max(least.length - 1, 1)).toFixed(1);
  const d = least.map((value, i) => `${i ? "L" : "M"}${x(i)} ${y(value)}L${x(i)} ${y(greatest[i])}`).join("");
  return { path: made("path", { class: "trace", d }), low, high };
}

function plot(id, label) {
  return made("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", id, "aria-label": label });
}

function trace(channel, number) {
  const points = channel.least.length, all = answer.predictions.length;
  const name = model.signal.channels[number] || `Channel ${number + 1}`;
  const seconds = answer.n_times / answer.sfreq;
  const range = (one) => `${one.low.toFixed(0)} to ${one.high.toFixed(0)} ${model.signal.unit}`;
  const near = drawn(channel, Math.floor((points * place) / all), Math.ceil((points * (place + 1)) / all));
  const close = plot(`channel-${number}`, `${name}, segment ${place + 1} of ${all}: ${seconds.toFixed(2)} s, ${range(near)}`);
  close.append(near.path);
  if (all === 1) return [caption(`${name}: ${seconds.toFixed(2)} s, ${range(near)}`, close)];
  const whole = drawn(channel, 0, points);
  const svg = plot(`whole-${number}`, `${name}: ${(all * seconds).toFixed(1)} s, ${range(whole)}; segment ${place + 1} of ${all} is marked`);
  svg.append(made("rect", { class: "mark", x: (WIDE * place) / all, y: 0, width: WIDE / all, height: HIGH }), whole.path);
  return [caption(`${name}: all ${(all * seconds).toFixed(1)} s, ${range(whole)}; segment ${place + 1} is marked`, svg),
    caption(`${name}: segment ${place + 1}, ${seconds.toFixed(2)} s, ${range(near)}`, close)];
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
    const found = await call(`v1/explain?${query}`, { method: "POST", body: asked.body, headers: { "content-type": asked.kind } });
    if (here()) showMoved(found);
  } catch (error) {
    if (!here()) return;
    $("moved").textContent = "";
    $("error").textContent = error.message;
  }
}

function showMoved(found) {
  const ranked = [...found.parts].sort((a, b) => Math.abs(b.raised) - Math.abs(a.raised));
  if (!answer.patients) {
    const most = Math.abs(ranked[0]?.raised) || 1;
    for (const old of document.querySelectorAll("#picture .up, #picture .down")) old.remove();
    for (const part of found.parts) {
      const svg = $(`channel-${part.channel}`), wide = WIDE / answer.n_times;
      const high = (HIGH / 2) * Math.abs(part.raised) / most;
      svg.prepend(made("rect", { class: part.raised > 0 ? "up" : "down", width: wide * (part.end - part.first),
        x: wide * part.first, y: part.raised > 0 ? HIGH / 2 - high : HIGH / 2, height: high }));
    }
  }
  const table = made("table");
  table.append(made("caption", {}, `Contributions to the probability of ${found.class}, ${percent(found.probability)}`));
  const head = made("tr");
  for (const name of [answer.patients ? "Code" : "Part", "Change of the probability without it"]) head.append(made("th", { scope: "col" }, name));
  const top = made("thead");
  top.append(head);
  const body = made("tbody");
  for (const part of ranked.slice(0, 10)) {
    const row = made("tr"), second = (sample) => (sample / answer.sfreq).toFixed(2);
    const name = answer.patients ? `${part.code}, ${part.time}`
      : `${second(part.first)} to ${second(part.end)} s${answer.channels.length > 1 ? `, channel ${part.channel + 1}` : ""}`;
    row.append(made("th", { scope: "row" }, name), made("td", {}, `${part.raised > 0 ? "−" : "+"}${(100 * Math.abs(part.raised)).toFixed(2)} points`));
    body.append(row);
  }
  table.append(top, body);
  $("moved").replaceChildren(table, made("p", { class: "note" }, `${answer.patients ? "" : "In the picture of the segment, bars up mark parts that raised the probability, and bars down parts that lowered it. "}Each part was removed alone. If two parts carry the same information, removing one changes little.`));
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
