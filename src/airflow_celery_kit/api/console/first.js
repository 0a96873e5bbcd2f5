// Runs in: the browser, before Airflow's UI is there; shows the overview's numbers in the document that `first_paint.py` filled.
const place = () => document.getElementById("kit-first-numbers");

function number([status, count]) {
  const part = document.createElement("div");
  const [name, value] = ["dt", "dd"].map((kind) => part.appendChild(document.createElement(kind)));
  name.textContent = status;
  value.textContent = count;
  value.style = "margin: 0; font-size: 1.5rem";
  return part;
}

// React may have put the page here already, now or while the answer is on its way.
// Who is not logged in gets no numbers: Airflow's UI leads to the login.
if (place()) {
  const answer = await fetch(new URL("kit/v1/overview", document.baseURI), { credentials: "same-origin" });
  if (answer.ok) {
    const parts = Object.entries((await answer.json()).statuses).map(number);
    place()?.replaceChildren(...parts);
    performance.mark("kit-first-numbers");
  }
}
