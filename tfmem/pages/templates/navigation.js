// Marks, in the navigation, the section that is on the screen.
(() => {
  const links = [...document.querySelectorAll(".bar a")];
  const sections = links.map((link) => document.querySelector(link.hash));
  const mark = () => {
    const reached = sections.findLastIndex((section, number) => number === 0 || section.getBoundingClientRect().top < innerHeight / 3);
    links.forEach((link, number) => {
      if (number > 0 && number === reached) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    });
  };
  let waiting = false;
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; mark(); });
  }, {passive: true});
  mark();

  // A link to a folded section unfolds it.
  const unfold = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (target?.tagName === "DETAILS") target.open = true;
  };
  addEventListener("hashchange", unfold);
  unfold();
})();
