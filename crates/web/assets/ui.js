// Enhances pages that already work without it: requests whose answer replaces one element.
//
//   <form data-frag="#results">  <a data-frag="#detail">   the answer's element with that id takes its place
//   data-live="12 found"         in the new element: said once in #live
//   data-focus                   in the new element: takes the focus (an error summary, a drawer's heading)
//   data-once                    on a form: a second submit waits for the first to end
//   data-poll="/x" data-every="1000"   the element asks for itself again, until it comes back without
//   data-open="#dialog", data-close, <dialog data-modal>   native dialogs
//   data-all="row"               a checkbox that ticks all checkboxes of that name in its form
//   data-search                  where the key / goes; ? opens #keys; <html data-keys="off"> stops both
//   data-print                   prints the page
//   data-copy="#value" hidden    a button that copies; shown where that is possible
//
// The server sees `X-Fragment: 1` (and `X-Poll: 1`, which must not count as the person's activity). It may
// answer with the fragment or with the whole page. It never redirects a fragment: it sends `X-Go: /path`.
// Nothing is stored in the browser, and no attribute is ever evaluated.
"use strict";
(() => {
  const html = window.trustedTypes
    ? window.trustedTypes.createPolicy("ui", { createHTML: (text) => text })
    : { createHTML: (text) => text };
  const under = new Map(); // target id -> AbortController of the request that will replace it
  const leave = () => location.replace(location.pathname + location.search);

  const say = (text) => {
    const live = document.getElementById("live");
    if (!live || !text) return;
    live.textContent = "";
    setTimeout(() => (live.textContent = text), 60);
  };

  // How to find a control again after its surroundings were replaced.
  const trail = (node) => {
    if (!node || node === document.body) return null;
    const href = node.getAttribute("href");
    return { id: node.id, name: node.name, value: node.value, href, tag: node.tagName };
  };
  const follow = (mark, inside) => {
    const all = [...inside.querySelectorAll(mark.tag)];
    return (
      (mark.id && document.getElementById(mark.id)) ||
      (mark.name && all.find((n) => n.name === mark.name && n.value === mark.value)) ||
      (mark.name && all.find((n) => n.name === mark.name)) ||
      (mark.href && all.find((n) => n.getAttribute("href") === mark.href))
    );
  };
  const focus = (node) => {
    if (!node.matches("a[href],button,input,select,textarea,summary,[tabindex]")) node.tabIndex = -1;
    node.focus();
  };

  const swap = (old, answer, quiet) => {
    const page = new DOMParser().parseFromString(html.createHTML(answer), "text/html");
    let fresh = page.getElementById(old.id);
    const held = old.contains(document.activeElement) || document.activeElement === document.body;
    const mark = trail(quiet ? document.activeElement : old.cause || document.activeElement);
    if (fresh) {
      fresh = document.adoptNode(fresh);
      old.replaceWith(fresh);
    } else {
      // A refusal is a page of its own: show its words where the answer would have been.
      const words = page.querySelector("[data-problem],main") || page.body;
      words.querySelector("#live")?.remove();
      for (const head of words.querySelectorAll("h1")) {
        const lower = page.createElement("h2");
        lower.append(...head.childNodes);
        head.replaceWith(lower);
      }
      old.replaceChildren(...[...words.childNodes].map((node) => document.adoptNode(node)));
      old.removeAttribute("data-poll");
      fresh = old;
    }
    fresh.removeAttribute("aria-busy");
    const live = fresh.matches("[data-live]") ? fresh : fresh.querySelector("[data-live]");
    const last = document.getElementById("live");
    if (live && !(quiet && last && last.textContent === live.dataset.live)) say(live.dataset.live);
    if (!quiet) {
      const wanted = fresh.querySelector("[data-focus]");
      const control = mark && follow(mark, fresh);
      if (wanted) focus(wanted);
      else if (control) focus(control);
      else if (held && !document.contains(old)) focus(fresh);
    } else if (held && mark) {
      const control = follow(mark, fresh);
      if (control) focus(control);
    }
    wake(fresh);
    return fresh;
  };

  const ask = async (target, url, options, cause) => {
    const id = target.id;
    const quiet = !cause;
    if (url.origin !== location.origin) return;
    if (quiet && under.has(id)) return;
    under.get(id)?.abort();
    const control = new AbortController();
    under.set(id, control);
    if (!quiet) target.setAttribute("aria-busy", "true");
    target.cause = cause;
    try {
      const answer = await fetch(url, {
        ...options,
        headers: { "X-Fragment": "1", ...options.headers },
        signal: control.signal,
        redirect: "error",
        cache: "no-store",
        credentials: "same-origin",
      });
      if (answer.status === 401) return leave();
      const go = answer.headers.get("X-Go");
      if (go && go.startsWith("/") && !go.startsWith("//")) return location.assign(go);
      const text = await answer.text();
      const now = document.getElementById(id);
      if (now && under.get(id) === control) {
        under.delete(id);
        now.cause = cause;
        swap(now, text, quiet);
      }
    } catch (error) {
      if (error.name === "AbortError") return;
      say("The request did not reach the server. Nothing was changed on this page.");
      if (target.dataset.poll) setTimeout(() => wake(target), 5000);
    } finally {
      if (under.get(id) === control) under.delete(id);
      document.getElementById(id)?.removeAttribute("aria-busy");
    }
  };

  const target = (node) => document.querySelector(node.dataset.frag || "#none");

  document.addEventListener("submit", (event) => {
    const form = event.target;
    const button = event.submitter;
    if (button?.formMethod === "dialog" || form.method === "dialog") return;
    const into = form.matches("[data-frag]") && target(button?.dataset.frag ? button : form);
    if (form.hasAttribute("data-once")) {
      if (form.busy) return event.preventDefault();
      form.busy = true;
      if (!into) setTimeout(() => (form.busy = false), 10000);
    }
    if (!into || form.enctype === "multipart/form-data") return;
    event.preventDefault();
    const url = new URL(button?.getAttribute("formaction") || form.getAttribute("action") || "", location.href);
    const body = new URLSearchParams(new FormData(form, button));
    const post = form.method === "post";
    if (!post) url.search = body;
    const dialog = form.closest("dialog[open]");
    dialog?.close(); // gives the focus back to what opened it
    const cause = (!dialog && button) || document.activeElement;
    ask(into, url, post ? { method: "POST", body } : {}, cause).finally(() => (form.busy = false));
  });

  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const at = (selector) => event.target.closest(selector);
    const opener = at("[data-open]");
    const dialog = opener && document.querySelector(opener.dataset.open);
    if (dialog) {
      event.preventDefault();
      return dialog.showModal();
    }
    if (at("[data-close]") && at("dialog")) {
      event.preventDefault();
      return at("dialog").close();
    }
    if (at("[data-print]")) return window.print();
    const copy = at("[data-copy]");
    if (copy) {
      const text = document.querySelector(copy.dataset.copy)?.textContent ?? "";
      return void navigator.clipboard.writeText(text).then(() => say("Copied."), () => say("It could not be copied. Select it instead."));
    }
    const link = at("a[data-frag]");
    const into = link && target(link);
    if (!into) return;
    event.preventDefault();
    ask(into, new URL(link.href), {}, link);
  });

  document.addEventListener("change", (event) => {
    const { all } = event.target.dataset;
    if (!all) return;
    const boxes = event.target.form?.elements ?? [];
    for (const box of boxes) if (box.name === all && !box.disabled) box.checked = event.target.checked;
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.documentElement.dataset.keys === "off") return;
    if (event.target.closest("input:not([type=checkbox],[type=radio]),select,textarea,dialog,[contenteditable]")) return;
    const search = document.querySelector("[data-search]");
    const keys = document.querySelector("dialog#keys");
    if (event.key === "/" && search) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "?" && keys) {
      event.preventDefault();
      keys.showModal();
    }
  });

  // What new content brings along: dialogs that open themselves, and regions that renew themselves.
  const wake = (root) => {
    const found = (selector) => [...(root.matches?.(selector) ? [root] : []), ...root.querySelectorAll(selector)];
    for (const dialog of found("dialog[data-modal]")) {
      dialog.removeAttribute("open");
      dialog.showModal();
    }
    if (navigator.clipboard) for (const button of found("[data-copy]")) button.hidden = false;
    for (const part of found("[data-poll]")) {
      const again = async () => {
        if (!document.contains(part)) return;
        if (document.hidden) return void setTimeout(again, 2000);
        await ask(part, new URL(part.dataset.poll, location.href), { headers: { "X-Poll": "1" } });
      };
      setTimeout(again, Math.max(250, Number(part.dataset.every) || 1000));
    }
  };

  // A page brought back from memory may be somebody else's by now.
  window.addEventListener("pageshow", (event) => event.persisted && leave());
  document.documentElement.classList.add("js");
  wake(document);
})();
