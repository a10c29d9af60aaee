// The explorer: all runs of the study as a table that can be filtered and sorted. They lie packed
// in the page; report/explorer_data.py says how. A run that is chosen goes as the event "run" to
// explorer_run.js, which draws it. The hash #runs?activation=tanh,relu&depth=20 shows some runs,
// #run=ID shows one.

const PAGE = 50
const place = document.getElementById("runs")
if (place?.querySelector(".explorer-meta")) explore(place)

function explore(place) {
  let started
  const start = () => started ??= load(place).then(study => view(place, study)).catch(() => {
    place.append(make("p", {}, "This browser cannot unpack the runs; they are in tables/runs.parquet."))
  })
  const follow = () => {
    if (/^#runs?[?=]/.test(location.hash)) start().then(shown => shown?.go(location.hash))
  }
  place.append(make("p", {class: "explorer-waiting"}, "The runs are unpacked when you come near."))
  new IntersectionObserver((seen, watch) => {
    if (seen.some(entry => entry.isIntersecting)) { watch.disconnect(); start() }
  }, {rootMargin: "600px"}).observe(place)
  addEventListener("hashchange", follow)
  follow()
}

// ---- packs -------------------------------------------------------------------------------------
async function unpack(element) {
  const packed = Uint8Array.from(atob(element.textContent), letter => letter.charCodeAt(0))
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"))
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer())
  const line = bytes.indexOf(10)
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(0, line)))
  let at = line + 1
  const cut = ([name, length]) => [name, bytes.subarray(at, at += length)]
  return {...head, sequences: Object.fromEntries(Object.entries(head.bytes).map(cut))}
}

// Integers, null where one is missing.
function decode(bytes) {
  const found = []
  for (let at = 0, last = 0; at < bytes.length;) {
    let digits = 0, place = 1, byte
    do { byte = bytes[at++]; digits += (byte & 127) * place; place *= 128 } while (byte > 127)
    if (digits) last += digits % 2 ? (digits - 1) / 2 : -digits / 2
    found.push(digits ? last : null)
  }
  return found
}

function scaled(code, [quantum, unit]) {
  if (code === null) return null
  return unit ? unit * Math.sinh(code * quantum) : code * quantum
}

function idsOf(bytes, hexadecimal) {
  if (!hexadecimal) return new TextDecoder().decode(bytes).split("\n")
  const digits = Array.from(bytes, byte => byte.toString(16).padStart(2, "0")).join("")
  return digits.match(/.{16}/g)
}

async function load(place) {
  const meta = await unpack(place.querySelector(".explorer-meta"))
  const columns = new Map([...meta.settings, ...meta.numbers].map(column => [column.name, column]))
  const ids = []
  for (const column of columns.values()) column.values = []
  for (const element of place.querySelectorAll(".explorer-rows")) {
    const pack = await unpack(element)
    ids.push(...idsOf(pack.sequences.run_id, pack.hexadecimal))
    for (const column of columns.values()) {
      for (const code of decode(pack.sequences[column.name])) {
        column.values.push(column.scale ? scaled(code, column.scale) : code)
      }
    }
  }
  for (const column of meta.settings) column.sets = column.members ?? column.options.map((_, i) => [i])
  return {meta, columns, ids}
}

// ---- words -------------------------------------------------------------------------------------
const MISSING = -1, NONE = [MISSING]
const words = name => name.replaceAll("_", " ")
const counted = number => number.toLocaleString("en-GB").replaceAll(",", "\u202f")

function number(value) {
  if (value === null) return "–"
  const size = Math.abs(value)
  const short = size >= 1e6 || size && size < 1e-3 ? value.toExponential(1).replace(/(\.0)?e\+?/, "e")
    : String(Number.isInteger(value) ? value : Number(value.toPrecision(3)))
  return short.replaceAll("-", "−")
}

function optionText(column, option) {
  const value = column.options[option] ?? "–"
  return typeof value === "number" ? String(value).replace("-", "−") : value || "(empty)"
}

const optionsOf = (column, run) => column.sets[column.values[run]] ?? NONE

function text(column, run) {
  if (column.scale) return number(column.values[run])
  return optionsOf(column, run).map(option => optionText(column, option)).join(", ")
}

// An element; `on...` attributes are listeners, what is null is left out.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value)
    else if (value != null) element.setAttribute(name, value)
  }
  element.append(...children)
  return element
}

// ---- filters -----------------------------------------------------------------------------------
// The runs that pass all filters, and for each filter how many would pass with each of its options:
// at the option's place plus 1, at 0 those without the setting.
function sift(study, filters) {
  const asked = [...filters].map(([name, options]) => [study.columns.get(name), options])
  const offered = [...study.meta.first, ...study.meta.more].map(name => study.columns.get(name))
  const runs = []
  for (const column of study.meta.settings) column.counts = new Int32Array(column.options.length + 1)
  for (let run = 0; run < study.ids.length; run++) {
    const failed = asked.filter(([column, options]) => !optionsOf(column, run).some(o => options.has(o)))
    if (failed.length > 1) continue
    if (!failed.length) runs.push(run)
    for (const column of failed.length ? failed[0].slice(0, 1) : offered) {
      for (const option of optionsOf(column, run)) column.counts[option + 1]++
    }
  }
  return runs
}

// A hash as filters; `unknown` holds what this study has no column or no option for.
function asked(study, hash) {
  const filters = new Map(), unknown = []
  for (const part of hash.replace(/^#runs\??/, "").split("&").filter(Boolean)) {
    const [name, values = ""] = part.split("=", 2)
    const column = study.columns.get(plain(name))
    if (!column?.options) { unknown.push(words(plain(name))); continue }
    filters.set(column.name, new Set())
    for (const value of values.split(",").map(plain)) {
      const option = optionAt(column, value)
      if (option === null) unknown.push(`${words(column.name)} ${value}`)
      else filters.get(column.name).add(option)
    }
  }
  return {filters, unknown}
}

function plain(encoded) {
  try { return decodeURIComponent(encoded) } catch { return encoded }
}

function optionAt(column, value) {
  const close = (one, two) => Math.abs(one - two) <= 1e-5 * Math.abs(one) // settings keep 6 digits
  const same = option => typeof option === "number" ? value && close(option, Number(value)) : option === value
  const found = column.options.findIndex(same)
  return found >= 0 ? found : value === "" ? MISSING : null
}

function hashOf(study, filters) {
  const parts = [...filters].map(([name, options]) => {
    const column = study.columns.get(name)
    const values = [...options].map(o => o === MISSING ? "" : encodeURIComponent(column.options[o]))
    return `${name}=${values.join(",")}`
  })
  return parts.length ? `#runs?${parts.join("&")}` : "#runs"
}

function filterBox(study, name, changed) {
  const column = study.columns.get(name)
  const options = column.options.map((_, option) => option)
  if (column.values.includes(null)) options.push(MISSING)
  const boxes = options.map(option => make("label", {},
    make("input", {type: "checkbox", value: option, onchange: event => changed(name, option, event.target.checked)}),
    make("span", {}, optionText(column, option)), make("span", {class: "explorer-n"})))
  return make("details", {class: "explorer-filter", "data-name": name},
    make("summary", {title: column.says}, make("span", {}, words(name)), " ", make("b", {}, "any")),
    make("fieldset", {}, make("legend", {}, words(name)), ...boxes))
}

function showFilters(study, root, filters) {
  for (const box of root.querySelectorAll(".explorer-filter")) {
    const column = study.columns.get(box.dataset.name), options = filters.get(column.name)
    const chosen = options && [...options].map(o => optionText(column, o)).join(", ")
    box.querySelector("b").textContent = options ? chosen || "none" : "any"
    box.classList.toggle("explorer-set", Boolean(options))
    for (const input of box.querySelectorAll("input")) {
      const count = column.counts[Number(input.value) + 1]
      input.checked = Boolean(options?.has(Number(input.value)))
      input.parentElement.querySelector(".explorer-n").textContent = counted(count)
      input.parentElement.classList.toggle("explorer-nothing", !count)
    }
  }
}

// ---- the view ----------------------------------------------------------------------------------
function said(study, runs, filters, unknown) {
  const parts = [...filters].map(([name, options]) => {
    const column = study.columns.get(name)
    return `${words(name)} ${[...options].map(o => optionText(column, o)).join(" or ") || "(no such)"}`
  })
  const these = `${counted(runs.length)} of ${counted(study.ids.length)} runs`
  const lacking = unknown.length ? `. This study has no ${unknown.join(", no ")}` : ""
  return these + (parts.length ? `: ${parts.join("; ")}` : "") + lacking + "."
}

function shares(study, runs) {
  return ["outcome", "signal"].map(name => {
    const column = study.columns.get(name), counts = new Map()
    for (const run of runs) for (const o of optionsOf(column, run)) counts.set(o, (counts.get(o) ?? 0) + 1)
    const rows = [...column.options.keys(), MISSING].filter(o => counts.get(o)).map(o => {
      const share = 100 * counts.get(o) / runs.length
      const label = o === MISSING ? {outcome: "init only", signal: "no signal"}[name] : optionText(column, o)
      const attributes = {class: `explorer-${label.replaceAll(" ", "-")}`, style: `--share: ${share.toFixed(2)}%`}
      return make("li", attributes, make("span", {}, label),
        make("span", {}, `${counted(counts.get(o))} (${share.toFixed(share < 10 ? 1 : 0)} %)`))
    })
    return make("div", {}, make("p", {}, words(name)), make("ul", {}, ...rows))
  })
}

function sorted(study, runs, {name, down}) {
  if (!name) return runs
  const values = name === "run_id" ? study.ids : study.columns.get(name).values, sign = down ? -1 : 1
  return [...runs].sort((a, b) => {
    const one = values[a], two = values[b]
    if (one === null || two === null) return (one === null) - (two === null) || a - b
    return one === two ? a - b : sign * (one < two ? -1 : 1)
  })
}

function view(place, study) {
  const state = {filters: new Map(), unknown: [], sort: {name: "", down: false}, page: 0, runs: [], open: null}
  const parts = skeleton(study, {choose, clear, order, turn, pick, close})
  place.querySelector(".explorer-waiting")?.remove()
  place.append(...parts.all)
  refresh()
  return {go}

  function refresh() {
    const runs = sift(study, state.filters)
    state.runs = sorted(study, runs, state.sort)
    parts.status.textContent = said(study, runs, state.filters, state.unknown)
    parts.clear.hidden = !state.filters.size
    parts.shares.replaceChildren(...shares(study, runs))
    showFilters(study, parts.filters, state.filters)
    showRows()
  }
  function showRows() {
    const start = state.page * PAGE, end = Math.min(start + PAGE, state.runs.length)
    parts.body.replaceChildren(...state.runs.slice(start, end).map(run => row(study, run, run === state.open)))
    parts.region.scrollTop = 0
    parts.range.textContent = end ? `${counted(start + 1)} to ${counted(end)} of ${counted(state.runs.length)}` : "no runs"
    parts.previous.disabled = !state.page
    parts.next.disabled = end >= state.runs.length
    for (const head of parts.heads) {
      const mine = head.dataset.name === state.sort.name
      if (mine) head.setAttribute("aria-sort", state.sort.down ? "descending" : "ascending")
      else head.removeAttribute("aria-sort")
    }
  }
  function share(hash) { history.replaceState(null, "", hash) }
  function changed() {
    for (const [name, options] of state.filters) if (!options.size) state.filters.delete(name)
    Object.assign(state, {unknown: [], page: 0})
    refresh()
    share(hashOf(study, state.filters))
  }
  function choose(name, option, on) {
    const options = state.filters.get(name) ?? new Set()
    on ? options.add(option) : options.delete(option)
    options.size ? state.filters.set(name, options) : state.filters.delete(name)
    changed()
  }
  function clear() { state.filters.clear(); changed(); parts.status.focus() }
  function order(name) {
    state.sort = {name, down: name === state.sort.name && !state.sort.down}
    state.page = 0
    state.runs = sorted(study, state.runs, state.sort)
    showRows()
  }
  function turn(by) { state.page += by; showRows() }
  function pick(run) {
    state.open = run
    mark()
    parts.panel.hidden = false
    share(`#run=${study.ids[run]}`)
    const tools = {make, unpack, decode, scaled, number, text, words, close}
    place.dispatchEvent(new CustomEvent("run", {detail: {study, run, panel: parts.panel, tools}}))
  }
  function mark() {
    for (const line of parts.body.rows) {
      line.ariaCurrent = Number(line.dataset.run) === state.open ? "true" : null
    }
  }
  function close() {
    const button = parts.body.querySelector(`[data-run="${state.open}"] button`)
    state.open = null
    parts.panel.hidden = true
    mark()
    share(hashOf(study, state.filters))
    ;(button ?? parts.region).focus()
  }
  function go(hash) {
    if (hash.startsWith("#run=")) {
      const id = plain(hash.slice(5)), run = study.ids.indexOf(id)
      if (run >= 0) return pick(run)
      state.unknown = [`run ${id} here (see tables/runs.parquet)`]
    } else Object.assign(state, asked(study, hash), {page: 0})
    parts.panel.hidden = true
    state.open = null
    refresh()
    parts.results.scrollIntoView()
    parts.status.focus({preventScroll: true})
  }
}

function row(study, run, current) {
  const id = study.ids[run]
  const cells = study.meta.shown.map(name => {
    const column = study.columns.get(name)
    return make("td", column.scale || typeof column.options[0] === "number" ? {class: "explorer-number"} : {}, text(column, run))
  })
  const button = make("button", {type: "button", title: `Show run ${id}`}, id.slice(0, 8))
  const here = current ? "true" : null
  return make("tr", {"data-run": run, "aria-current": here}, make("th", {scope: "row"}, button), ...cells)
}

// All elements of the explorer, made once; those that change are named.
function skeleton(study, acts) {
  const boxes = names => names.map(name => filterBox(study, name, acts.choose))
  const more = make("details", {class: "explorer-more"}, make("summary", {}, "More filters"),
    make("div", {class: "explorer-filters"}, ...boxes(study.meta.more)))
  const filters = make("div", {role: "group", "aria-label": "Filters"},
    make("div", {class: "explorer-filters"}, ...boxes(study.meta.first)), ...(study.meta.more.length ? [more] : []))
  const status = make("p", {role: "status", class: "explorer-status", tabindex: -1})
  const clear = make("button", {type: "button", onclick: acts.clear}, "Clear all filters")
  const parts = make("div", {class: "explorer-shares"})
  const heads = ["run_id", ...study.meta.shown].map(name => make("th", {scope: "col", "data-name": name},
    make("button", {type: "button", title: study.columns.get(name)?.says, onclick: () => acts.order(name)}, name === "run_id" ? "run" : words(name))))
  const body = make("tbody", {onclick: event => {
    const line = event.target.closest("tr")
    if (line && !getSelection().toString()) acts.pick(Number(line.dataset.run))
  }})
  const region = make("div", {class: "explorer-table", role: "region", "aria-label": "Runs", tabindex: 0},
    make("table", {}, make("thead", {}, make("tr", {}, ...heads)), body))
  const previous = make("button", {type: "button", onclick: () => acts.turn(-1)}, "Previous")
  const next = make("button", {type: "button", onclick: () => acts.turn(1)}, "Next")
  const range = make("span", {role: "status"})
  const pages = make("div", {role: "group", class: "explorer-pages", "aria-label": "Pages of runs"}, previous, range, next)
  const panel = make("section", {class: "explorer-run", "aria-label": "The chosen run", hidden: ""})
  panel.addEventListener("keydown", event => { if (event.key === "Escape") acts.close() })
  const results = make("div", {class: "explorer-results"}, status, clear, parts, region, pages)
  return {all: [filters, results, panel], filters, results, status, clear, shares: parts, heads, body, region, previous, next, range, panel}
}
