// Put before every question that the harness asks a page. Finds things as a person would name them.
const words = (text) => (text ?? "").replace(/\s+/g, " ").trim();
const visible = (node) => node.checkVisibility({ visibilityProperty: true }) && node.getClientRects().length > 0;
const scope = () => document.querySelector("dialog:modal") ?? document;
const called = (node) =>
  words(node.getAttribute("aria-label") ?? "") ||
  words([...(node.labels ?? [])].map((label) => label.innerText).join(" ")) ||
  words(node.innerText) || words(node.value) || words(node.title);
// The exact name wins, then one that begins so, then one that has it inside.
const best = (nodes, name) => {
  const wanted = words(name).toLowerCase();
  const named = nodes.map((node) => [node, called(node).replace(/ ?\*$/, "").toLowerCase()]);
  const by = (test) => named.find(([, text]) => test(text))?.[0];
  return by((t) => t === wanted) ?? by((t) => t.startsWith(wanted)) ?? by((t) => t.includes(wanted));
};
const within = (region) => {
  if (!region) return scope();
  const regions = [...scope().querySelectorAll("section,form,nav,main,dialog,tr,li,article,aside,[role=region]")];
  const heading = (node) => words(document.getElementById(node.getAttribute("aria-labelledby"))?.innerText);
  const wanted = region.toLowerCase();
  return regions.find((node) => words(node.getAttribute("aria-label")).toLowerCase() === wanted) ??
    regions.find((node) => heading(node).toLowerCase() === wanted) ??
    regions.filter((node) => visible(node) && words(node.innerText).toLowerCase().includes(wanted)).pop();
};
const control = (name) =>
  best([...scope().querySelectorAll("input:not([type=hidden]),select,textarea")].filter(visible), name);
const clickable = (name, region) =>
  best([...(within(region)?.querySelectorAll(
    "button,a[href],summary,input[type=submit],input[type=checkbox],input[type=radio],[role=button]") ?? [])]
    .filter(visible), name);
const place = (control) => {
  // A box that the sheet hides beside the page is ticked by its label.
  const node = control.getClientRects()[0].right < 0 ? control.labels?.[0] ?? control : control;
  node.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
  const box = node.getClientRects()[0];
  const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
  const hit = document.elementFromPoint(x, y);
  const label = [...(node.labels ?? [])].some((one) => one.contains(hit));
  if (!hit || !(node.contains(hit) || hit.contains(node) || label))
    return { why: `covered by ${hit?.outerHTML.slice(0, 120)}` };
  return { x, y };
};
const tabbable = () => {
  const all = [...scope().querySelectorAll(
    "a[href],button,input:not([type=hidden]),select,textarea,summary,video[controls],[tabindex]")];
  const groups = new Set();
  return all.filter((node) => {
    if (node.tabIndex < 0 || node.disabled || node.closest("[inert]") || !visible(node)) return false;
    if (node.type !== "radio") return true;
    const chosen = document.querySelector(`input[type=radio][name="${CSS.escape(node.name)}"]:checked`);
    if (chosen ? chosen !== node : groups.has(node.name)) return false;
    return groups.add(node.name);
  });
};
const outlined = (node) => {
  const style = getComputedStyle(node);
  return style.outlineStyle !== "none" && (style.outlineStyle === "auto" || parseFloat(style.outlineWidth) >= 2);
};
const tag = (node) => node.cloneNode(false).outerHTML.slice(0, 160);
