// What script adds to pages that work without it.
"use strict";

// Copies what the button's data-copy names.
for (const button of document.querySelectorAll("[data-copy]")) {
	button.hidden = false;
	button.addEventListener("click", async () => {
		const text = document.getElementById(button.dataset.copy).textContent.trim();
		try {
			await navigator.clipboard.writeText(text);
			button.textContent = "Copied";
		} catch {
			button.textContent = "Select it and copy it by hand";
		}
	});
}

// On a phone, where the menus are wider than the screen, shows where one is.
for (const here of document.querySelectorAll("[aria-current]")) here.scrollIntoView({ block: "nearest", inline: "nearest" });
