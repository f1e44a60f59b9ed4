import Chart from "chart.js/auto";
document.body.innerHTML = `<div style="width:500px"><canvas id=c></canvas></div><button id=b>Add</button>`;
const chart = new Chart(document.getElementById("c"), { type: "bar", options: { animation: false }, data: { labels: ["Jan", "Feb"], datasets: [{ label: "Sales", data: [4, 9] }, { label: "Costs", data: [3, 5] }] } });
document.getElementById("b").onclick = () => { chart.data.datasets[0].data.push(3); chart.data.labels.push("Mar"); chart.update(); };
