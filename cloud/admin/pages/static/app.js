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
// Lets the items of a list be dragged by their grips, with a mouse, a pen or a
// finger; then sends the form of the list, whose fields stand in the items.
for (const list of document.querySelectorAll("[data-sort]")) {
	const says = document.getElementById(list.dataset.sortSays);
	for (const grip of list.querySelectorAll("[data-grip]")) {
		grip.hidden = false;
		grip.addEventListener("pointerdown", (down) => drag(list, grip, down, says));
	}
}

function drag(list, grip, down, says) {
	const item = grip.closest("li");
	const before = [...list.children];
	const over = new AbortController();
	const middle = (e) => e.getBoundingClientRect().top + e.offsetHeight / 2;
	const end = (keep) => {
		over.abort();
		item.classList.remove("dragged");
		if (!keep) {
			list.append(...before);
		} else if (before.some((e, i) => e !== list.children[i])) {
			document.getElementById(list.dataset.sort).requestSubmit();
		}
	};
	const on = (what, f) => grip.addEventListener(what, f, { signal: over.signal });
	down.preventDefault();
	grip.setPointerCapture(down.pointerId);
	item.classList.add("dragged");
	on("pointermove", ({ clientY: y }) => {
		const above = item.previousElementSibling, below = item.nextElementSibling;
		if (above && y < middle(above)) {
			list.insertBefore(above, below); // item itself must stay, or the pointer lets go of it
		} else if (below && y > middle(below)) {
			list.insertBefore(below, item);
		} else {
			return;
		}
		says.textContent = `“${item.dataset.name}” is number ${[...list.children].indexOf(item) + 1} of ${list.children.length}`;
	});
	on("pointermove", ({ clientY: y }) => window.scrollBy(0, y < 60 ? -15 : y > window.innerHeight - 60 ? 15 : 0));
	on("pointerup", () => end(true));
	on("pointercancel", () => end(false));
	document.addEventListener("keydown", (e) => e.key === "Escape" && end(false), { signal: over.signal });
}

// Adds and removes rows of a list, such as the conditions of a rule, without
// asking the server.
for (const button of document.querySelectorAll("[data-add]")) {
	const rows = document.getElementById(button.dataset.to);
	button.addEventListener("click", (e) => {
		e.preventDefault();
		const next = Math.max(-1, ...[...rows.querySelectorAll("[name=row]")].map((e) => Number(e.value) || 0)) + 1;
		rows.insertAdjacentHTML("beforeend", document.getElementById(button.dataset.add).innerHTML.replaceAll("ROW", next));
		rows.lastElementChild.querySelector("input:not([type=hidden])").focus();
		if (document.querySelector("[name=who][value=everyone]")?.checked) document.querySelector("[data-some]").checked = true;
	});
}
for (const rows of document.querySelectorAll("[data-rows]")) {
	rows.addEventListener("click", (e) => {
		if (!e.target.matches("[data-remove]")) return;
		e.preventDefault();
		e.target.closest("li").remove();
		document.querySelector(`[data-to=${rows.id}]`).focus();
	});
}

// Adds an empty copy of the last of what the button names.
for (const button of document.querySelectorAll("[data-more]")) {
	button.addEventListener("click", (e) => {
		e.preventDefault();
		const last = [...document.querySelectorAll(button.dataset.more)].at(-1);
		const copy = last.cloneNode(true);
		const field = copy.querySelector("input, select");
		copy.querySelector("label").htmlFor = field.id += "-more";
		field.value = "";
		copy.querySelector("button")?.remove();
		last.after(copy);
		field.focus();
	});
}
