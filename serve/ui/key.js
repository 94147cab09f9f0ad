// Gets the page that was asked for with the key in its header, and shows it in place of this one.
const kept = "forgo-key";
const said = document.getElementById("said");
async function get(path, key) {
  const answer = await fetch(path, { headers: { "X-API-Key": key, Accept: "text/html,*/*" }, credentials: "omit", cache: "no-store" });
  if (answer.ok) return answer;
  sessionStorage.removeItem(kept);
  throw new Error((await answer.json()).error);
}
async function show(key) {
  try {
    const page = await (await get(location.pathname, key)).text();
    sessionStorage.setItem(kept, key);
    document.open();
    document.write(page);
    document.close();
    if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
    // Links to what is no page: a browser would ask for them without the key.
    for (const link of document.querySelectorAll('a[href="openapi.json"], a[href="models"]')) {
      link.addEventListener("click", async (event) => {
        event.preventDefault();
        const content = await (await get(link.getAttribute("href"), key)).blob();
        location.assign(URL.createObjectURL(content));
      });
    }
  } catch (error) {
    said.textContent = error.message;
  }
}
document.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  show(document.getElementById("key").value.trim());
});
if (sessionStorage.getItem(kept)) show(sessionStorage.getItem(kept));
