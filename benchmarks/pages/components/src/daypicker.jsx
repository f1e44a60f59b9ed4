import React from "react";
import { createRoot } from "react-dom/client";
import { DayPicker } from "react-day-picker";
import "react-day-picker/style.css";
function App() { const [day, setDay] = React.useState(); return <DayPicker mode="single" defaultMonth={new Date(2026, 0)} selected={day} onSelect={setDay} footer={day ? day.toDateString() : "None"} />; }
createRoot(document.getElementById("app")).render(<App />);
