import Swiper from "swiper/bundle";
import "swiper/css/bundle";
document.body.innerHTML = `<div class=swiper style="width:400px;height:160px"><div class=swiper-wrapper>${[1, 2, 3].map((i) => `<div class=swiper-slide>Slide ${i} <a href="#s${i}">Open ${i}</a></div>`).join("")}</div>
<div class=swiper-pagination></div><div class=swiper-button-prev></div><div class=swiper-button-next></div></div>`;
new Swiper(".swiper", { navigation: { nextEl: ".swiper-button-next", prevEl: ".swiper-button-prev" }, pagination: { el: ".swiper-pagination", clickable: true }, keyboard: true, speed: 0 });
