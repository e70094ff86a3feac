"""Which solver?

Paper: Mishkin, Sergievskiy & Matas, CVIU 2017 (arXiv 1606.02228); a table in their repository.
Published finding: momentum with linear decay (49.3); RMSProp comes close (48.6); Adam did not converge as tried.
Cost: 29 trials per seed of 64 epochs. In the original, 21 of them did not converge or were far worse.

Steps are those of the baseline unless the name says otherwise. Not documented for the runs without a number: the term
in the denominator of rmsprop (here 1e-8; 1 in those with a number), rho of adadelta (here 0.95, its rate 1), and the
batch size (several failed runs had 128; here the baseline's).
"""

from __future__ import annotations

from raysweep.search_spaces._shared import LINEAR, Patch
from raysweep.study import Study, Variant


def _solver(name: str, **fields: float) -> Patch:
    return {"solver.name": name} | {f"solver.{field}": value for field, value in fields.items()}


def _steps(thousands: int) -> Patch:
    return {"schedule.gamma": 0.94, "schedule.step_fraction": thousands / 320}


_RMSPROP = _solver("rmsprop", rms_decay=0.9, eps=1.0)
_ADAM = [
    *[(0.001, 0.9, 0.999, "1e-8"), (0.001, 0.95, 0.999, "1e-8"), (0.001, 0.95, 0.999, "1e-7")],
    *[(0.01, 0.9, 0.999, "1e-8"), (0.01, 0.9, 0.999, "1e-7"), (0.01, 0.9, 0.999, "1e-9")],
    *[(0.01, 0.9, 0.99, "1e-8"), (0.01, 0.95, 0.999, "1e-9")],
]


def _text(value: float) -> str:
    return str(value).replace(".", "_")


def _adam(lr: float, beta1: float, beta2: float, eps: str) -> Variant:
    name = f"adam_lr{_text(lr)}_b1_{_text(beta1)}_b2_{_text(beta2)}_eps{eps}"
    fields = _solver("adam", lr=lr, momentum=beta1, beta2=beta2, eps=float(eps))
    return Variant(name, fields, f"Adam, rate {lr:g}, beta {beta1:g} and {beta2:g}, epsilon {eps}")


def _rmsprop(lr: float, decay: float) -> Variant:
    name = f"rmsprop_lr{_text(lr)}_decay{_text(decay)}"
    return Variant(name, _solver("rmsprop", lr=lr, rms_decay=decay), f"RMSProp, rate {lr:g}, decay {decay:g}")


STUDY = Study(
    name="solver",
    question="Which solver?",
    paper="Mishkin et al. 2017, repository",
    finding="Momentum with linear decay to zero; the policy matters more than the solver.",
    baseline="sgd_momentum_step",
    variants=(
        Variant("sgd_momentum_step", {"solver.name": "sgd", "schedule.name": "step"}, "momentum, steps"),
        Variant("sgd_momentum_linear", LINEAR, "momentum, linear decay to zero"),
        Variant("nesterov_step", _solver("nesterov"), "Nesterov's momentum, steps"),
        Variant("rmsprop_step100k", _RMSPROP, "RMSProp, steps"),
        Variant("rmsprop_lr0_045_step10k_g094", _RMSPROP | {"solver.lr": 0.045} | _steps(10), "RMSProp, rate 0.045"),
        Variant("rmsprop_lr0_1_step10k_g094", _RMSPROP | {"solver.lr": 0.1} | _steps(10), "RMSProp, rate 0.1"),
        Variant("rmsprop_lr0_1_step5k_g094", _RMSPROP | {"solver.lr": 0.1} | _steps(5), "the same, steps half as long"),
        Variant("rmsprop_lr0_1_linear", _RMSPROP | {"solver.lr": 0.1} | LINEAR, "RMSProp, linear decay to zero"),
        *(_adam(*setting) for setting in _ADAM),
        *(_rmsprop(0.01, decay) for decay in (0.5, 0.9, 0.95, 0.98, 0.99)),
        *(_rmsprop(0.001, decay) for decay in (0.9, 0.98)),
        *(Variant(f"adagrad_lr{_text(lr)}", _solver("adagrad", lr=lr), f"AdaGrad, rate {lr:g}") for lr in (0.01, 0.02)),
        *(
            Variant(f"adadelta_{eps}", _solver("adadelta", lr=1.0, momentum=0.95, eps=float(eps)), f"AdaDelta, {eps}")
            for eps in ("1e-5", "1e-6", "1e-7", "1e-8")
        ),
    ),
)
