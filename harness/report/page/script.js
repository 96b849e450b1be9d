// Opens what a link leads into, and copies commands; the page is whole without it.
const open = () => {
  const goal = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let place = goal; place; place = place.parentElement) if (place.tagName === "DETAILS") place.open = true;
  if (goal) goal.scrollIntoView();
};
addEventListener("hashchange", open);
open();
for (const button of document.querySelectorAll("button[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.onclick = async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent.trim());
    button.textContent = "Copied";
  };
}
