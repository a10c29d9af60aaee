// One run of the explorer: its settings, its profiles at init and at the end, its loss. Draws into
// the panel that comes with the event "run" of explorer.js, as does all that unpacks.

const SIZE = {width: 340, height: 236, left: 62, right: 10, top: 8, bottom: 44}
// What a line is kept by, its owner first, and what it holds.
const KINDS = {
  curve: {keys: ["run"], values: ["step", "train_loss"]},
  layers: {keys: ["run", "player", "step"], values: ["log10_delta_rms", "q"]},
  lags: {keys: ["run", "layer", "step"], values: ["log10_delta_rms"]},
  theory: {keys: ["cell"], values: ["log10_delta_rms", "q"]},
}
const opened = new Map() // packs by element, unpacked at the first run of theirs
document.getElementById("runs")?.addEventListener("run", event => show(event.detail))

async function show({study, run, panel, tools}) {
  const id = study.ids[run]
  panel.dataset.run = id
  const title = tools.make("h3", {tabindex: -1}, "Run ", tools.make("code", {class: "explorer-id"}, id))
  const charts = tools.make("div", {class: "explorer-charts"}, tools.make("p", {role: "status"}, "Unpacking its curves …"))
  panel.replaceChildren(title, buttons(id, tools), ...ending(study, run, tools), charts, facts(study, run, tools))
  title.focus({preventScroll: true})
  panel.scrollIntoView({block: "nearest"})
  const drawn = await figures(study, run, tools)
  if (panel.dataset.run !== id) return
  charts.replaceChildren(...drawn)
  panel.scrollIntoView({block: "start"})
}

function buttons(id, {make, close}) {
  const told = make("span", {role: "status"})
  const copy = () => navigator.clipboard.writeText(id).then(() => { told.textContent = "Copied." },
    () => { told.textContent = "This browser does not let a page copy: select it above." })
  const parts = [make("button", {type: "button", onclick: close}, "Close")]
  if (navigator.clipboard) parts.unshift(make("button", {type: "button", onclick: copy}, "Copy its id"))
  return make("p", {class: "explorer-buttons"}, ...parts, told)
}

// A sentence on a run that did not stay finite.
function ending(study, run, {make, text}) {
  const of = name => text(study.columns.get(name), run)
  const [step, layer] = [of("first_nonfinite_step"), of("first_nonfinite_layer")]
  if (of("outcome") !== "diverged" && step === "–") return []
  const where = step === "–" ? "" : `: its numbers are not finite from update ${step} on${layer === "–" ? "" : `, first in layer ${layer}`}`
  return [make("p", {class: "explorer-ending"}, `This run diverged${where}.`)]
}

function facts(study, run, {make, text, words}) {
  const {first, more} = study.meta
  const names = ["cell", ...first, ...more, ...study.meta.numbers.map(column => column.name)]
  const rows = names.map(name => study.columns.get(name)).filter(column => column.values[run] !== null).map(column => {
    const value = text(column, run)
    const inside = column.name === "cell" ? make("a", {href: `#runs?cell=${value}`}, `${value} (all its runs)`) : value
    return make("div", {}, make("dt", {title: column.says}, words(column.name)), make("dd", {}, inside))
  })
  return make("dl", {}, ...rows)
}

// ---- lines of values ---------------------------------------------------------------------------
function opening(element, {unpack, decode}) {
  if (!opened.has(element)) {
    opened.set(element, unpack(element).then(({players, sequences}) =>
      ({players, ...Object.fromEntries(Object.entries(sequences).map(([name, bytes]) => [name, decode(bytes)]))})))
  }
  return opened.get(element)
}

// The lines of a kind that `owner` has: an object each, of keys and of values.
function lines(sequences, kind, owner, {meta}, {scaled}) {
  const {keys, values} = KINDS[kind], counts = sequences[`${kind}.n`], found = []
  for (let line = 0, at = 0; line < counts.length; at += counts[line++]) {
    if (sequences[`${kind}.${keys[0]}`][line] !== owner) continue
    const one = Object.fromEntries(keys.map(key => [key, sequences[`${kind}.${key}`][line]]))
    for (const name of values) {
      const codes = sequences[`${kind}.${name}`].slice(at, at + counts[line])
      one[name] = codes.map(code => scaled(code, meta.scales[name]))
    }
    found.push(one)
  }
  return found
}

// Series of one quantity: `lines` by place, which counts from `first`.
function series(found, name, first, label) {
  return found.map((line, i) => {
    const x = line[name].map((_, place) => place + first)
    return {x, y: line[name], name: label(line), end: line.step > 0, other: i > 1}
  })
}

async function figures(study, run, tools) {
  const place = document.getElementById("runs")
  const packs = place.querySelectorAll(".explorer-details"), pack = packs[Math.floor(run / study.meta.block)]
  if (!pack) return [tools.make("p", {}, "Its curve and profiles are not in this page: they are in tables/curves.parquet and tables/layers.parquet.")]
  const found = await opening(pack, tools)
  const of = kind => lines(found, kind, run, study, tools)
  const predicted = place.querySelector(".explorer-theory")
  const cell = study.columns.get("cell").values[run]
  const steps = study.columns.get("steps").options[study.columns.get("steps").values[run]]
  const theory = predicted ? lines(await opening(predicted, tools), "theory", cell, study, tools) : []
  return [...profiles(of("layers"), theory, found.players), ...lagged(of("lags")), ...losses(of("curve"), steps)].map(one => chart(one, tools))
}

const when = line => line.step ? `after update ${line.step}` : "at init"

function profiles(measured, theory, players) {
  const named = line => (players[line.player] === "net" ? "" : `${players[line.player]}, `) + when(line)
  const one = (quantity, title, y) => ({
    title, x: "layer (1 is next to the input)", y,
    series: [...series(theory.filter(line => line[quantity].some(value => value !== null)), quantity, 1, () => "theory, at init")
      .map(line => ({...line, theory: true})), ...series(measured, quantity, 1, named)],
  })
  return [one("log10_delta_rms", "Backward: the error signal δ by layer", "log₁₀ rms of δ (nats)"),
    one("q", "Forward: the pre-activations h by layer", "log₁₀ mean square of h")]
}

function lagged(measured) {
  const several = measured.some(line => line.layer > 1)
  const found = series(measured, "log10_delta_rms", 0, line => (several ? `layer ${line.layer}, ` : "") + when(line))
  const title = "Through time: the error signal δ by time lag"
  return found.length ? [{title, x: "time lag (steps back)", y: "log₁₀ rms of δ (nats)", series: found}] : []
}

// A loss is that before an update: behind the last of the `steps` there is none.
function losses(curves, steps) {
  return curves.map(line => {
    const [step, train_loss] = [line.step, line.train_loss].map(all => all.filter((_, i) => line.step[i] < steps))
    const known = train_loss.filter(value => value !== null)
    const log = known.every(value => value > 0) && Math.max(...known) > 3 * Math.min(...known)
    return {title: "Training loss by update", x: "update (logarithmic from 1 on)", y: log ? "loss (logarithmic)" : "loss",
      series: [{x: step, y: train_loss, name: "loss of the batch", curve: true}], xScale: FROM_ONE, yScale: log ? LOG : LINEAR}
  })
}

// ---- charts ------------------------------------------------------------------------------------
const LINEAR = {to: value => value, ticks: (low, high) => evenly(low, high)}
const WHOLE = {to: value => value, ticks: (low, high) => evenly(low, high).filter(Number.isInteger)}
const LOG = {to: Math.log10, ticks: (low, high) => decades(10 ** low, 10 ** high)}
const FROM_ONE = {to: value => Math.log10(1 + value), ticks: (low, high) => [0, ...decades(1, 10 ** high - 1)]}

function evenly(low, high) {
  const rough = (high - low) / 6, power = 10 ** Math.floor(Math.log10(rough))
  const step = power * [1, 2, 2.5, 5, 10].find(factor => factor * power >= rough)
  const count = Math.floor(high / step + 1e-9) - Math.ceil(low / step - 1e-9) + 1
  return Array.from({length: count}, (_, i) => Number(((Math.ceil(low / step - 1e-9) + i) * step).toPrecision(12)))
}

function decades(low, high) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))]
  const fits = factors => {
    const all = Array.from({length: last - first + 1}, (_, i) => factors.map(f => Number(`${f}e${first + i}`)))
    return all.flat().filter(value => value >= low * 0.999 && value <= high * 1.001)
  }
  const found = [[1, 2, 5], [1, 3], [1]].map(fits).find(ticks => ticks.length <= 7) ?? fits([1])
  return found.filter((_, i) => i % Math.ceil(found.length / 7) === 0)
}

// Where values go on an axis of the page, and its ticks; a flat line gets room around it.
function axis(values, scale, from, to, least) {
  const known = values.filter(value => value !== null).map(scale.to)
  let low = Math.min(...known), high = Math.max(...known)
  const lacking = Math.max(0, least - (high - low)) / 2, room = from > to ? 0.05 * (high - low) : 0
  low -= lacking + room
  high += lacking + room
  const at = value => from + (to - from) * (scale.to(value) - low) / (high - low)
  return {at, ticks: scale.ticks(low, high)}
}

function draw(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children)
  return element
}

function path({x, y, theory}, across, up) {
  if (theory && x.length === 1) return `M${across.at(x[0]) - 9} ${up.at(y[0])}h18`
  let pen = "M"
  return x.map((value, i) => {
    if (y[i] === null) { pen = "M"; return "" }
    const point = `${pen}${across.at(value).toFixed(1)} ${up.at(y[i]).toFixed(1)}`
    pen = "L"
    return point
  }).join("")
}

function mark(end, x, y) {
  return end ? draw("rect", {x: x - 2.4, y: y - 2.4, width: 4.8, height: 4.8}) : draw("circle", {cx: x, cy: y, r: 2.6})
}

function look(one) {
  return one.theory ? "explorer-theory-line" : `explorer-line${one.end ? " explorer-end" : ""}${one.other ? " explorer-other" : ""}`
}

function drawn(one, across, up) {
  const marks = one.theory || one.curve ? [] : one.x.flatMap((x, i) => one.y[i] === null ? [] : [mark(one.end, across.at(x), up.at(one.y[i]))])
  return draw("g", {class: look(one)}, draw("path", {d: path(one, across, up)}), ...marks)
}

function axes({x, y}, across, up, number) {
  const {width, height, left, right, top, bottom} = SIZE
  const text = (content, attributes) => draw("text", attributes, content)
  return draw("g", {class: "explorer-axes"},
    ...up.ticks.flatMap(value => [draw("path", {d: `M${left} ${up.at(value)}H${width - right}`}),
      text(number(value), {x: left - 6, y: up.at(value) + 4, "text-anchor": "end"})]),
    ...across.ticks.map(value => text(number(value), {x: across.at(value), y: height - bottom + 18, "text-anchor": "middle"})),
    text(x, {x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle"}),
    text(y, {transform: `translate(13 ${(top + height - bottom) / 2}) rotate(-90)`, "text-anchor": "middle"}))
}

function chart(spec, tools) {
  const {make, number} = tools, {width, height, left, right, top, bottom} = SIZE
  const [kept, lost] = [true, false].map(any => spec.series.filter(one => one.y.some(value => value !== null) === any))
  const xs = kept.flatMap(one => one.x), ys = kept.flatMap(one => one.y)
  const missing = ys.filter(value => value === null).length
  const caption = make("figcaption", {}, make("b", {}, `${spec.title}.`))
  for (const one of lost) caption.append(` ${one.name}: every value is exactly zero or not finite.`)
  if (!kept.length) return make("figure", {}, caption)
  if (missing) caption.append(` Gaps: ${missing} of ${ys.length} values are exactly zero or not finite.`)
  const across = axis(xs, spec.xScale ?? WHOLE, left, width - right, 0.5)
  const up = axis(ys, spec.yScale ?? LINEAR, height - bottom, top, spec.yScale ? 0.05 : 1)
  const about = `${spec.title}: ${kept.map(one => one.name).join("; ")}. The values are in the table below.`
  const picture = draw("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": about},
    axes(spec, across, up, number), ...kept.map(one => drawn(one, across, up)))
  return make("figure", {}, caption, picture, legend(kept, make), values(spec, kept, tools))
}

function legend(series, make) {
  return make("ul", {class: "explorer-legend"}, ...series.map(one => {
    const marks = one.theory || one.curve ? [] : [mark(one.end, 14, 6)]
    const sample = draw("svg", {viewBox: "0 0 28 12", "aria-hidden": "true"}, draw("g", {class: look(one)}, draw("path", {d: "M0 6H28"}), ...marks))
    return make("li", {}, sample, one.name)
  }))
}

function values({title, x}, series, {make, number}) {
  const places = [...new Set(series.flatMap(one => one.x))].sort((a, b) => a - b)
  const at = series.map(one => new Map(one.x.map((place, i) => [place, one.y[i]])))
  const rows = places.map(place => make("tr", {}, make("th", {scope: "row"}, number(place)),
    ...at.map(found => make("td", {}, number(found.get(place) ?? null)))))
  const head = make("tr", {}, ...[x.replace(/ \(.*/, ""), ...series.map(one => one.name)].map(name => make("th", {scope: "col"}, name)))
  return make("details", {}, make("summary", {}, "Values"),
    make("div", {class: "explorer-table", role: "region", "aria-label": `Values: ${title}`, tabindex: 0},
      make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))))
}
