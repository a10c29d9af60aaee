// What the page does beyond standing there: colours by choice, contents that say where one is,
// notes beside their marks, figures at full width. Without it all is there, and all is open.
const root = document.documentElement
const all = (selector, within = document) => [...within.querySelectorAll(selector)]
const made = (tag, attributes = {}, ...inside) => {
  const element = document.createElement(tag)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  element.append(...inside)
  return element
}

// ---- colours: as the system has them, or light, or dark ------------------------------------------
const button = document.getElementById("theme"), themes = ["system", "light", "dark"]
const theme = () => root.dataset.theme ?? "system"
const named = () => { button.textContent = `Colours: ${theme()}` }
button.hidden = false
button.onclick = () => {
  const next = themes[(themes.indexOf(theme()) + 1) % themes.length]
  if (next === "system") delete root.dataset.theme
  else root.dataset.theme = next
  try {
    if (next === "system") localStorage.removeItem("theme")
    else localStorage.setItem("theme", next)
  } catch {}
  named()
}
named()

// ---- contents: the section one is in, folded on a narrow screen ----------------------------------
const contents = document.querySelector(".contents details")
const narrow = matchMedia("(max-width: 70rem)")
const links = new Map(all("a", contents).map(link => [decodeURIComponent(link.hash.slice(1)), link]))
const sections = [...links.keys()].map(id => document.getElementById(id)).filter(Boolean)
const here = made("span", {class: "here", "aria-hidden": "true"})
contents.querySelector("summary").append(here)
const fold = () => { contents.open = !narrow.matches }
fold()
narrow.addEventListener("change", fold)
contents.addEventListener("click", event => { if (event.target.closest("a")) fold() })
addEventListener("keydown", event => {
  if (event.key === "Escape" && narrow.matches && contents.open) {
    fold()
    contents.querySelector("summary").focus()
  }
})

const seen = new Set()
const spy = new IntersectionObserver(entries => {
  for (const {target, isIntersecting} of entries) isIntersecting ? seen.add(target) : seen.delete(target)
  mark(sections.findLast(section => seen.has(section)))
}, {rootMargin: "0px 0px -75% 0px"})
for (const section of sections) spy.observe(section)

function mark(section) {
  for (const link of links.values()) link.removeAttribute("aria-current")
  const link = section && links.get(section.id)
  here.textContent = link ? link.textContent : ""
  if (!link) return
  link.setAttribute("aria-current", "location")
  if (narrow.matches) return
  const above = link.offsetTop - contents.scrollTop
  if (above < 0 || above > contents.clientHeight - 60) {
    contents.scrollTop = link.offsetTop - contents.clientHeight / 2
  }
}

// ---- what scrolls sideways is reached by keyboard, what fits is passed by ------------------------
const fits = new ResizeObserver(entries => {
  for (const {target} of entries) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0
    else target.removeAttribute("tabindex")
  }
})
for (const scroller of all(".wide, .equation > p, main pre")) fits.observe(scroller)

// ---- notes: beside their mark while it is pointed at or focused; Escape closes -------------------
const card = made("div", {class: "note", popover: "auto"})
document.querySelector("main").append(card)
let leaving
for (const link of all("a.footnote-ref")) {
  const note = document.getElementById(link.hash.slice(1))
  if (!note) continue
  link.addEventListener("mouseenter", () => show(link, note))
  link.addEventListener("focus", () => show(link, note))
  link.addEventListener("mouseleave", hide)
  link.addEventListener("blur", hide)
}
card.addEventListener("mouseenter", () => clearTimeout(leaving))
card.addEventListener("mouseleave", hide)

function show(link, note) {
  if (matchMedia("(max-width: 48rem)").matches) return
  clearTimeout(leaving)
  card.replaceChildren(...note.cloneNode(true).childNodes)
  for (const back of all(".footnote-back", card)) back.remove()
  card.showPopover()
  const at = link.getBoundingClientRect(), size = card.getBoundingClientRect()
  const left = Math.min(Math.max(at.left - 24, 12), innerWidth - size.width - 12)
  const below = at.bottom + 8 + size.height < innerHeight
  card.style.left = `${left}px`
  card.style.top = `${below ? at.bottom + 8 : Math.max(8, at.top - size.height - 8)}px`
}
function hide() {
  clearTimeout(leaving)
  leaving = setTimeout(() => card.hidePopover(), 250) // time for the pointer to reach the note
}

// ---- figures at full width -----------------------------------------------------------------------
const title = made("p", {id: "enlarged-name"}), close = made("button", {type: "button"}, "Close")
const stage = made("div", {class: "stage", tabindex: "0", role: "group", "aria-label": "Drawing"})
const dialog = made("dialog", {class: "enlarged", "aria-labelledby": "enlarged-name"},
  made("div", {class: "bar"}, title, close), stage)
document.body.append(dialog)
close.onclick = () => dialog.close()
dialog.onclick = event => { if (event.target === dialog) dialog.close() }
dialog.onclose = () => stage.replaceChildren()

for (const plot of all("figure > svg.plot")) {
  const caption = plot.parentElement.querySelector("figcaption")
  if (!caption) continue
  const name = caption.querySelector(".label")?.textContent.replace(/\.\s*$/, "") ?? "Figure"
  if (!caption.querySelector(".links")) caption.append(made("span", {class: "links"}))
  const open = made("button", {type: "button", "aria-label": `Enlarge ${name}`}, "Enlarge")
  caption.querySelector(".links").prepend(open)
  open.onclick = () => enlarge(plot, name)
  plot.onclick = open.onclick
}
function enlarge(plot, name) {
  const copy = plot.cloneNode(true), {width, height} = plot.viewBox.baseVal
  copy.removeAttribute("id")
  copy.style.setProperty("--ratio", width / height)
  title.textContent = name
  stage.replaceChildren(copy)
  dialog.showModal()
}

// ---- paper shows what is folded ------------------------------------------------------------------
let folded = []
addEventListener("beforeprint", () => {
  folded = all("main details:not([open])")
  for (const details of folded) details.open = true
})
addEventListener("afterprint", () => { for (const details of folded) details.open = false })
