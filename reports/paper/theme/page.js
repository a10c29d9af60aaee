// What the page does: the colours of its reader's choice, contents folded on a narrow screen.
const root = document.documentElement, button = document.getElementById("theme")
button.hidden = false
button.onclick = () => {
  const dark = getComputedStyle(root).getPropertyValue("--dark").trim() === "1"
  root.dataset.theme = dark ? "light" : "dark"
  try { localStorage.setItem("theme", root.dataset.theme) } catch {}
}
if (matchMedia("(max-width: 70rem)").matches) document.querySelector(".contents details").open = false
