// Opens a picture as large as the screen lets it be, pixel by pixel. Without this, its link leads
// to the file.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a.picture");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();

  const shown = link.querySelector("img");
  const [width, height] = [shown.naturalWidth, shown.naturalHeight];
  const fit = Math.min(0.94 * innerWidth, (0.8 * innerHeight * width) / height);
  const image = new Image();
  image.src = link.href;
  image.alt = "";
  image.width = Math.max(fit, width); // a picture larger than the screen can be scrolled

  const close = document.createElement("button");
  close.textContent = "Close";
  const dialog = document.createElement("dialog");
  dialog.className = "picture";
  dialog.setAttribute("aria-label", shown.alt);
  dialog.append(close, ` ${shown.alt}, ${width} × ${height} pixels`, image);
  dialog.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
});
