"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, from) => Array.from((from || document).querySelectorAll(selector));
  const input = document.getElementById("filter");
  const matches = document.getElementById("matches");
  const steps = all(".step");
  const findings = all(".finding");
  root.classList.add("script");

  // What a finding is found by is its own text, its rule's headline and its file.
  const text = new Map(findings.map((f) => {
    const rule = f.closest(".rule");
    const file = f.closest(".file");
    const parts = [f, rule.querySelector(".headline"), file.querySelector("summary"), f.closest(".step").querySelector("h3")];
    return [f, parts.map((p) => p.textContent).join(" ").toLowerCase()];
  }));

  const off = new Set();
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const has = (s) => words.every((w) => s.includes(w));
    let found = 0;
    for (const f of findings) {
      f.hidden = words.length > 0 && !has(text.get(f));
      if (!f.hidden && !off.has(f.closest(".step").dataset.status)) found++;
    }
    for (const group of all(".rule").concat(all(".file"), all(".shown"))) {
      group.hidden = words.length > 0 && !group.querySelector(".finding:not([hidden])");
      if (words.length > 0 && !group.hidden && group.tagName === "DETAILS") group.open = true;
    }
    let shown = 0;
    for (const s of steps) {
      const named = has(s.textContent.toLowerCase());
      s.hidden = off.has(s.dataset.status) || (words.length > 0 && !named && !s.querySelector(".finding:not([hidden])"));
      if (!s.hidden) shown++;
    }
    const some = words.length > 0 || off.size > 0;
    matches.textContent = some ? `${found} of ${findings.length} findings, ${shown} of ${steps.length} steps` : "";
  };
  input.addEventListener("input", apply);

  for (const b of all(".toggle")) {
    b.addEventListener("click", () => {
      const on = b.getAttribute("aria-pressed") !== "true";
      b.setAttribute("aria-pressed", String(on));
      if (on) off.delete(b.dataset.status); else off.add(b.dataset.status);
      apply();
    });
  }

  // A page from a disk may have no clipboard: then the old way, through a field.
  const copy = async (s) => {
    try {
      await navigator.clipboard.writeText(s);
      return true;
    } catch {
      const field = document.createElement("textarea");
      field.value = s;
      field.className = "hidden-label";
      document.body.append(field);
      field.select();
      const done = document.execCommand("copy");
      field.remove();
      return done;
    }
  };
  for (const b of all(".copy")) {
    b.addEventListener("click", async () => {
      const done = await copy(b.dataset.copy);
      b.textContent = done ? "copied" : "select it";
      b.classList.toggle("done", done);
      setTimeout(() => { b.textContent = "copy"; b.classList.remove("done"); }, 1600);
      b.focus();
    });
  }

  // A link to something that is folded unfolds it.
  const reveal = () => {
    let id = "";
    try { id = decodeURIComponent(location.hash.slice(1)); } catch { return; }
    const target = id && document.getElementById(id);
    if (!target) return;
    for (let e = target; e; e = e.parentElement) {
      if (e.tagName === "DETAILS") e.open = true;
      e.hidden = false;
    }
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  for (const a of all("summary .anchor")) {
    a.addEventListener("click", (e) => e.stopPropagation());
  }
  reveal();

  const move = (by) => {
    const heads = steps.filter((s) => !s.hidden).map((s) => s.querySelector("summary"));
    const at = heads.findIndex((h) => h.parentElement.contains(document.activeElement));
    const to = heads[at < 0 ? (by > 0 ? 0 : heads.length - 1) : at + by];
    if (to) to.focus();
  };
  addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.key === "Escape" && document.activeElement === input) {
      input.value = "";
      apply();
      input.blur();
    } else if (document.activeElement !== input) {
      if (e.key === "/") { e.preventDefault(); input.focus(); }
      if (e.key === "j") move(1);
      if (e.key === "k") move(-1);
    }
  });

  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    for (const d of folded) d.open = true;
  });
  addEventListener("afterprint", () => {
    for (const d of folded) d.open = false;
  });
})();
