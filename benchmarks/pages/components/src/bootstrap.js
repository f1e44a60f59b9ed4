import "bootstrap/dist/css/bootstrap.css";
import "bootstrap";
document.body.innerHTML = `<nav class="navbar navbar-expand bg-light"><a class="navbar-brand" href="#home">Shop</a>
<ul class="navbar-nav"><li class="nav-item dropdown"><a class="nav-link dropdown-toggle" href="#" role="button" data-bs-toggle="dropdown">Goods</a>
<ul class="dropdown-menu"><li><a class="dropdown-item" href="#tea">Tea</a></li><li><a class="dropdown-item" href="#milk">Milk</a></li></ul></li></ul></nav>
<div class="accordion" id="acc"><div class="accordion-item"><h2 class="accordion-header"><button class="accordion-button collapsed" data-bs-toggle="collapse" data-bs-target="#one">Delivery</button></h2>
<div id="one" class="accordion-collapse collapse"><div class="accordion-body">In two days <a href="#terms">Terms</a></div></div></div></div>
<button class="btn btn-primary" data-bs-toggle="modal" data-bs-target="#box">Ask</button>
<button class="btn" data-bs-toggle="offcanvas" data-bs-target="#side">Menu</button>
<ul class="nav nav-tabs"><li class="nav-item"><button class="nav-link active" data-bs-toggle="tab" data-bs-target="#t1">First</button></li>
<li class="nav-item"><button class="nav-link" data-bs-toggle="tab" data-bs-target="#t2">Second</button></li></ul>
<div class="tab-content"><div class="tab-pane active" id="t1">One</div><div class="tab-pane" id="t2">Two <input class="form-control" placeholder="Note"></div></div>
<div class="form-check form-switch"><input class="form-check-input" type="checkbox" id="sw"><label class="form-check-label" for="sw">News</label></div>
<div class="btn-group"><input type="radio" class="btn-check" name="r" id="r1"><label class="btn btn-outline-primary" for="r1">Small</label>
<input type="radio" class="btn-check" name="r" id="r2"><label class="btn btn-outline-primary" for="r2">Large</label></div>
<div class="modal" id="box" tabindex="-1"><div class="modal-dialog"><div class="modal-content"><div class="modal-header"><h5>Question</h5><button class="btn-close" data-bs-dismiss="modal" aria-label="Close"></button></div>
<div class="modal-body"><input class="form-control" aria-label="Words"></div><div class="modal-footer"><button class="btn btn-primary">Send</button></div></div></div></div>
<div class="offcanvas offcanvas-start" tabindex="-1" id="side"><div class="offcanvas-body"><button data-bs-dismiss="offcanvas">Shut</button></div></div>`;
