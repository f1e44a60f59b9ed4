// Who gets the credit: per-turn advantages of one trajectory under every estimator. Turns t = 0..T−1, V(s_T) = 0.
// The same definitions as trainers/credit.py; the tests compare the two.

// G_t = r_t + γ G_{t+1}
export function returns(rewards, gamma) {
  const g = new Array(rewards.length);
  let next = 0;
  for (let t = rewards.length - 1; t >= 0; t--) g[t] = next = rewards[t] + gamma * next;
  return g;
}

// δ_t = r_t + γ v_{t+1} − v_t,  A_t = δ_t + γλ A_{t+1}
export function gae(rewards, values, gamma, lam) {
  const a = new Array(rewards.length);
  let next = 0;
  for (let t = rewards.length - 1; t >= 0; t--) {
    const delta = rewards[t] + (t + 1 < rewards.length ? gamma * values[t + 1] : 0) - values[t];
    a[t] = next = delta + gamma * lam * next;
  }
  return a;
}

const sum = (x) => x.reduce((a, b) => a + b, 0);
const mean = (x) => sum(x) / x.length;

// The group's mean off the return, over its std if asked; `group` holds each learnable member's rewards, `me` is my place in it.
export function groupAdvantage(group, me, std) {
  const totals = group.map(sum);
  if (totals.length < 2 || Math.max(...totals) - Math.min(...totals) <= 1e-9) return 0;
  const centred = totals[me] - mean(totals);
  return std ? centred / Math.sqrt(mean(totals.map((x) => (x - mean(totals)) ** 2))) : centred;
}

// The mean of the other members' G_t at the same turn; of all their turns where none got so far; mine where there are no others.
export function groupBaseline(group, me, gamma) {
  const all = group.map((rewards) => returns(rewards, gamma));
  const others = all.filter((g, i) => i !== me && g.length);
  if (!others.length) return [...all[me]];
  const pooled = mean(others.flat());
  return all[me].map((_, t) => {
    const there = others.filter((g) => g.length > t).map((g) => g[t]);
    return there.length ? mean(there) : pooled;
  });
}

// All rows of the credit sheet. `values` is null where no critic has looked at this trajectory.
export function estimators({ rewards, group, me, values, gamma, lam, std }) {
  const g = returns(rewards, gamma);
  const flat = groupAdvantage(group, me, std);
  const b = groupBaseline(group, me, gamma);
  const critic = (f) => (values ? f(values) : null);
  return [
    { key: "reinforce", name: "REINFORCE", formula: "G_t", words: "the return that follows: every turn of a success is praised", a: g },
    { key: "grpo", name: "GRPO", formula: std ? "(R − mean) / std" : "R − mean of the group", words: "one number for the whole episode", a: g.map(() => flat) },
    { key: "leave_one_out", name: "Siblings", formula: "G_t − mean of the others' G_t", words: "what ArCHer falls back to while its critic is worse", a: g.map((x, t) => x - b[t]) },
    { key: "td", name: "TD(0)", formula: "r_t + γV(s_t+1) − V(s_t)", words: "how much better the next page is, as the critic sees it", a: critic((v) => gae(rewards, v, gamma, 0)) },
    { key: "gae", name: "GAE(λ)", formula: "Σ (γλ)^k δ_t+k", words: "between TD(0) and the return minus V", a: critic((v) => gae(rewards, v, gamma, lam)) },
    { key: "archer", name: "ArCHer", formula: "V(s_t+1) − V(s_t)", words: "as published: λ = 0 and no γ", a: critic((v) => gae(rewards, v, 1, 0)) },
  ];
}
