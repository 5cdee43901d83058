"use strict";
// The page of a served model. It calls this server only and stores nothing.
const $ = (id) => document.getElementById(id);
const KINDS = { csv: "text/csv", txt: "text/csv", json: "application/json", edf: "application/edf",
  bdf: "application/edf" };
const HIGH = 120, LEFT = 72, TOP = 8, BELOW = 22; // pixels of a plot, and of the axes around it
let model, sent, answer, place, wide;

function made(name, attributes = {}, ...children) {
  const svg = ["svg", "path", "rect", "text"].includes(name);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}
const options = (entries) => entries.map(([value, text]) => made("option", { value }, text));
const cells = (name, scope, texts) => texts.map((text) => made(name, scope, text));
const table = (caption, names, rows) => made("table", {}, made("caption", {}, caption),
  made("thead", {}, made("tr", {}, ...cells("th", { scope: "col" }, names))),
  made("tbody", {}, ...rows.map(([first, ...rest]) =>
    made("tr", {}, ...cells("th", { scope: "row" }, [first]), ...cells("td", {}, rest)))));
const percent = (value) => (value > 0 && value < 0.001 ? "< 0.1 %" : `${(100 * value).toFixed(1)} %`);
const likeliest = (one) => `${one.prediction}: ${percent(one.probabilities[one.prediction])}`;
const seconds = () => answer.n_times / answer.sfreq;

async function send(path, body, kind) {
  const token = $("token").value.trim();
  const headers = { ...(kind && { "content-type": kind }), ...(token && { authorization: `Bearer ${token}` }) };
  const reply = await fetch(path, { method: body ? "POST" : "GET", body, headers }).catch(() => {
    throw new Error("The server does not respond. Is it still running?");
  });
  if (reply.status === 401) $("token-row").hidden = false;
  if (!reply.ok) throw new Error((await reply.json()).detail);
  return reply;
}

async function attempt(action) {
  $("error").textContent = "";
  try {
    await action();
  } catch (error) {
    $("error").textContent = error.message;
  }
}

async function readModel() {
  model = await (await send("v1/model")).json();
  const { signal, records, calibration: { conformal }, cost, training } = model;
  const whole = model.serves.media_types.join() === KINDS.edf;
  const channels = `${signal?.n_chans} channel${signal?.n_chans === 1 ? "" : "s"}`;
  document.title = `Sequela: ${model.title}`;
  $("title").textContent = model.title;
  $("question").textContent = `It predicts ${model.question}.`;
  $("formats").textContent = whole ? "A whole recording as EDF or BDF, which the model filters first."
    : signal ? `EEG as csv or text (a column of µV for each channel, ${channels}), EDF, BDF or JSON; ${signal.sfreq} Hz.`
    : records.columns ? `A csv file with one row per patient and the columns ${records.columns.join(", ")}; or a patient's coded visits as JSON.`
    : "A patient's coded visits as JSON.";
  $("paste").hidden = whole;
  $("text-label").textContent = signal ? "Numbers in µV, one per line, or JSON" : records.columns ? "Rows of a csv file, or coded visits as JSON" : "Coded visits as JSON";
  for (const name of ["sfreq", "unit"]) $(name).value = signal?.[name] ?? "";
  const count = (value) => Math.round(value).toLocaleString("en");
  const prepared = Object.entries(signal?.preparation ?? {}).map(([name, value]) => `; ${name} ${[value].flat().join(" ")}`);
  $("card").replaceChildren(...Object.entries({
    "Intended use": model.intended_use,
    "Trained on": `${training.title} (${training.licence}); ${training.examples.train} examples`,
    Classes: model.classes.join(", "),
    Reads: signal ? `${channels}, ${signal.sfreq} Hz, ${signal.unit}; segments of ${signal.n_times} samples${prepared.join("")}`
      : `${records.codes} codes, ${records.channels} measurements`,
    Cost: !cost ? "unknown: the file was exported by an earlier version"
      : `${count(cost.parameters)} parameters; ${cost.operations === null ? "operations not counted"
        : `${count(cost.operations)} operations per prediction`}; trained in ${count(cost.train_seconds)} s`,
    "Prediction sets": conformal ? `fitted on the validation set, so that ${percent(conformal.promised)} of the sets of new examples like those contain the true class`
      : "none for times to an event",
    "Checksum of the run": model.run.sha256,
  }).flatMap(([name, value]) => [made("dt", {}, name), made("dd", {}, value)]));
}

// The chosen file or the pasted text; `bare` if it has no rate and unit.
function source() {
  const file = $("file").files[0], text = $("text").value;
  if (!file && !text.trim()) throw new Error($("paste").hidden ? "Choose a file." : "Choose a file, or paste its text.");
  const ends = Object.keys(KINDS).filter((each) => model.serves.media_types.includes(KINDS[each]));
  const end = file ? file.name.toLowerCase().split(".").pop() : /^\s*[[{]/.test(text) || !ends.includes("csv") ? "json" : "csv";
  if (!ends.includes(end)) throw new Error(`${file.name}: expected a file that ends in .${ends.join(", .")}.`);
  const bare = model.kind === "signal" && !["json", "edf", "bdf"].includes(end);
  const query = new URLSearchParams(bare ? { sfreq: $("sfreq").value, unit: $("unit").value } : {});
  return { body: file || text, kind: KINDS[end], bare, query, name: (file?.name ?? "text").replace(/\.[^.]*$/, "") };
}

function chosen() {
  $("units").hidden = true;
  attempt(() => { $("units").hidden = !source().bare; });
}

async function predict() {
  $("status").textContent = "Predicting…";
  $("result").hidden = true;
  await attempt(async () => {
    if (!model) await readModel();
    sent = source();
    answer = await (await send(`v1/view?${sent.query}`, sent.body, sent.kind)).json();
    showAll();
  });
  const count = $("result").hidden ? 0 : answer.predictions.length;
  $("status").textContent = count ? `${count} prediction${count === 1 ? "" : "s"}.` : "";
}

function showAll() {
  const all = answer.predictions, mean = answer.recording, name = answer.patients ? "patient" : "segment";
  $("notes").textContent = answer.notes.join(" ");
  $("one").textContent = `One ${name}`;
  $("place-label").textContent = answer.patients ? "Patient" : "Segment";
  $("choose").hidden = all.length === 1;
  $("place").replaceChildren(...options(all.map((one, i) => [i, `${one.id}: ${likeliest(one)}`])));
  $("whole").hidden = !mean || all.length === 1;
  if (mean) {
    const same = all.filter((one) => one.prediction === mean.prediction).length;
    $("whole-said").textContent = `${likeliest(mean)}, the mean of ${all.length} segments. It is the most probable class in ${same} of them.`;
    $("class").replaceChildren(...options(Object.entries(mean.probabilities).map(([each, chance]) => [each, `${each} (mean ${percent(chance)})`])));
    $("class").value = mean.prediction;
  }
  $("result").hidden = false;
  show(0);
  $("result").focus();
}

function show(next) {
  const last = answer.predictions.length - 1;
  place = Math.min(Math.max(next, 0), last);
  const one = answer.predictions[place], promised = percent(model.calibration.conformal?.promised);
  $("place").value = place;
  $("before").disabled = place === 0;
  $("after").disabled = place === last;
  $("said").textContent = likeliest(one);
  $("chances").replaceChildren(table("Probability of each class", ["Class", "Probability", "In the prediction set"],
    Object.entries(one.probabilities).map(([name, chance]) => [name,
      made("span", {}, percent(chance), made("progress", { value: chance, "aria-hidden": true })),
      one.risk ? "" : one.set.includes(name) ? "yes" : "no"])));
  $("set").textContent = one.risk
    ? `Risk of the event: ${Object.entries(one.risk).map(([day, chance]) => `${percent(chance)} by day ${day}`).join(", ")}.`
    : one.set.length ? `Prediction set: {${one.set.join(", ")}}. For new examples like those of the validation set, ${promised} of such sets contain the true class.`
    : `Prediction set: empty. The example is unlike those of the validation set, for which ${promised} of the sets contain the true class.`;
  draw();
}

function draw() {
  wide = Math.max(220, Math.min($("result").clientWidth, 832) - LEFT - 4);
  $("picture").replaceChildren(...(answer.patients ? [timeline(answer.patients[place])] : answer.channels.flatMap(trace)));
  if (!$("whole").hidden) $("course").replaceChildren(course($("class").value));
}

// Round numbers from low to high, about `count` of them.
function ticks(low, high, count) {
  const least = (high - low) / count, power = 10 ** Math.floor(Math.log10(least));
  const step = power * [1, 2, 5, 10].find((each) => each * power >= least * 0.999), first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => +((first + i) * step).toPrecision(6));
}

// A picture with axes: seconds from first to last, and values from low to high.
function plot(label, [first, last], [low, high], unit, ...shapes) {
  const rows = ticks(low, high, 3).map((value) => [value, (HIGH * (high - value)) / (high - low)]);
  const columns = ticks(first, last, Math.max(3, Math.round(wide / 90))).map((value) => [value, (wide * (value - first)) / (last - first)]);
  const svg = made("svg", { viewBox: `${-LEFT} ${-TOP} ${wide + LEFT + 4} ${HIGH + TOP + BELOW}`, role: "img", "aria-label": label },
    ...rows.flatMap(([value, y]) => [made("path", { class: "grid", d: `M0 ${y}H${wide}` }),
      made("text", { x: -6, y: y + 4, "text-anchor": "end" }, `${value} ${unit}`)]),
    ...columns.flatMap(([value, x]) => [made("path", { class: "grid", d: `M${x} ${HIGH}v5` }),
      made("text", { x, y: HIGH + 18, "text-anchor": x < 10 ? "start" : x > wide - 10 ? "end" : "middle" }, `${value} s`)]),
    ...shapes);
  return made("figure", {}, svg, made("figcaption", {}, label));
}

function marked() {
  const width = wide / answer.predictions.length;
  return made("rect", { class: "mark", x: place * width, y: 0, width, height: HIGH });
}

// Points of a channel, from one up to another, as a picture of some seconds.
function line(label, channel, from, to, times, ...shapes) {
  const least = channel.least.slice(from, to), greatest = channel.greatest.slice(from, to);
  let low = least.reduce((a, b) => Math.min(a, b)), high = greatest.reduce((a, b) => Math.max(a, b));
  const range = `${label}, ${low.toFixed(0)} to ${high.toFixed(0)} ${model.signal.unit}`;
  if (low === high) [low, high] = [low - 1, high + 1];
  const x = (i) => ((wide * i) / Math.max(least.length - 1, 1)).toFixed(1), y = (value) => ((HIGH * (high - value)) / (high - low)).toFixed(1);
  const d = least.map((value, i) => `${i ? "L" : "M"}${x(i)} ${y(value)}L${x(i)} ${y(greatest[i])}`).join("");
  return plot(range, times, [low, high], model.signal.unit, ...shapes, made("path", { d }));
}

function trace(channel, number) {
  const points = channel.least.length, all = answer.predictions.length, length = seconds(), first = answer.recording ? place * length : 0;
  const name = model.signal.channels[number] || `Channel ${number + 1}`;
  const whole = line(`${name}: all ${(all * length).toFixed(1)} s; segment ${place + 1} is marked`, channel, 0, points, [0, all * length], marked());
  const near = line(`${name}: segment ${place + 1} of ${all}, ${length.toFixed(2)} s`, channel,
    Math.floor((points * place) / all), Math.ceil((points * (place + 1)) / all), [first, first + length]);
  return all === 1 ? [near] : [whole, near];
}

// The probability of a class over the time of a recording; a click shows the segment.
function course(name) {
  const all = answer.predictions.length, at = (one) => HIGH * (1 - one.probabilities[name]);
  const d = answer.predictions.map((one, i) => `${i ? "V" : "M0 "}${at(one)}H${(wide * (i + 1)) / all}`).join("");
  const figure = plot(`Probability of ${name} in each of ${all} segments of ${seconds().toFixed(2)} s; segment ${place + 1} is marked`,
    [0, all * seconds()], [0, 100], "%", marked(), made("path", { class: "course", d }));
  figure.firstChild.addEventListener("click", ({ clientX, currentTarget }) => {
    const box = currentTarget.getBoundingClientRect(), x = ((clientX - box.left) * (wide + LEFT + 4)) / box.width - LEFT;
    show(Math.floor((all * x) / wide));
  });
  return figure;
}

function timeline(patient) {
  const unknown = answer.predictions[place].unknown_codes;
  const fact = (code, text) => (unknown.includes(code) ? made("span", { class: "unknown" }, `${text} (unknown to the model)`) : text);
  return made("ol", {}, ...patient.visits.map((visit) => made("li", {}, made("strong", {}, visit.time),
    ...[...visit.codes.map((code) => fact(code, code)), ...Object.entries(visit.values).map(([code, value]) => fact(code, `${code} = ${value}`))]
      .flatMap((text, i) => [i ? ", " : " ", text]))));
}

function save(end, kind, text) {
  const href = URL.createObjectURL(new Blob([text], { type: kind }));
  made("a", { href, download: `${sent.name}-predictions.${end}` }).click();
  setTimeout(() => URL.revokeObjectURL(href), 1000);
}

function saveCsv() {
  const { recording, predictions } = answer, names = Object.keys(predictions[0].probabilities);
  const row = (id, start, one) => [id, ...(recording ? [start] : []), one.prediction, ...names.map((name) => one.probabilities[name]), (one.set ?? []).join(" | ")];
  const rows = predictions.map((one, i) => row(one.id, (i * seconds()).toFixed(3), one));
  if (recording) rows.push(row("recording (mean)", "", recording));
  const head = ["id", ...(recording ? ["start_seconds"] : []), "prediction", ...names.map((name) => `p_${name}`), "prediction_set"];
  const cell = (value) => (/[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  save("csv", "text/csv", [head, ...rows].map((each) => `${each.map((value) => cell(String(value))).join(",")}\n`).join(""));
}

function saveJson() {
  const { recording, predictions, notes } = answer;
  save("json", "application/json", JSON.stringify({ model: model.run.sha256, file: sent.name, notes, recording, predictions }, null, 1));
}

for (const [id, type, action] of [
  ["form", "submit", (event) => { event.preventDefault(); predict(); }],
  ["file", "change", chosen], ["text", "input", chosen], ["token", "change", () => attempt(readModel)],
  ["class", "change", draw],
  ["save-csv", "click", saveCsv], ["save-json", "click", saveJson], ["place", "change", () => show(Number($("place").value))],
  ["before", "click", () => show(place - 1)], ["after", "click", () => show(place + 1)],
]) $(id).addEventListener(type, action);
window.addEventListener("resize", () => { if (!$("result").hidden) draw(); });
attempt(readModel);
