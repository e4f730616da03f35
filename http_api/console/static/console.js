// Live parts of a page: a button stops them, and a line says when they are out of date.
// All pages can be read and all forms sent without this file.
"use strict";

(function () {
  var button = document.getElementById("live");
  var spoken = document.getElementById("spoken");
  var note = document.getElementById("stale");
  var stopped = false;

  function clock() {
    return new Date().toISOString().slice(11, 19) + " UTC";
  }

  function say(text) {
    if (spoken && spoken.textContent !== text) {
      spoken.textContent = text; // a live region: read out only when it changes
    }
  }

  function state() {
    var found = document.getElementById("state-of-all");
    return found ? found.textContent.trim() : "";
  }

  var known = state();
  var updated = clock();

  if (button) {
    button.hidden = false;
    button.addEventListener("click", function () {
      stopped = !stopped;
      button.setAttribute("aria-pressed", String(stopped));
    });
  }

  document.addEventListener("htmx:beforeRequest", function (event) {
    if (stopped || document.hidden) {
      event.preventDefault();
    }
  });

  document.addEventListener("htmx:afterSwap", function () {
    updated = clock();
    if (note) {
      note.textContent = "";
    }
    if (state() !== known) {
      known = state();
      say(known);
    }
  });

  ["htmx:sendError", "htmx:responseError", "htmx:timeout"].forEach(function (name) {
    document.addEventListener(name, function () {
      if (note) {
        note.textContent = "Not updated since " + updated + ": the service does not answer.";
      }
    });
  });
})();
