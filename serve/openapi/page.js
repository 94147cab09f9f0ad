// Buttons that copy commands; links that open what they point at.
for (const figure of document.querySelectorAll("figure")) {
  const command = figure.querySelector("pre");
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.setAttribute("aria-label", "Copy: " + figure.querySelector("figcaption").textContent);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(command.textContent);
      button.textContent = "Copied";
    } catch { // over plain HTTP there is no clipboard: select, for the keyboard to copy
      getSelection().selectAllChildren(command);
      button.textContent = "Selected";
    }
    button.addEventListener("blur", () => { button.textContent = "Copy"; }, { once: true });
  });
  figure.append(button);
}
function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.matches("details")) target.open = true;
}
addEventListener("hashchange", reveal);
reveal();
