// Fills the page from the API: the drinks, each with a button that orders it, and what the warehouse says.

async function order(id, button) {
  const answer = await fetch("/api/orders", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ drink: id }),
  });
  const told = await answer.json();
  button.textContent = answer.ok ? `ordered, ${told.orders} so far` : told.error;
}

async function showDrinks() {
  const answer = await fetch("/api/drinks");
  const list = document.getElementById("drinks");
  for (const drink of await answer.json()) {
    const line = document.createElement("li");
    line.textContent = `${drink.name}, ${drink.price}`;
    const button = document.createElement("button");
    button.textContent = "order";
    button.addEventListener("click", () => order(drink.id, button));
    line.append(button);
    list.append(line);
  }
}

async function showStock() {
  const answer = await fetch("/stock/today");
  document.getElementById("stock").textContent = await answer.text();
}

// Tells whoever waits for it that the page is complete.
window.isFilled = Promise.all([showDrinks(), showStock()]).then(() => true);
