// Which screen, who is signed in, what changed, which key was pressed.

import { get, listen, session } from './api.js';
import { ask, card, fault, h, render, say } from './dom.js';
import { incidents, orders, overview } from './overview.js';
import { room } from './room.js';
import { signIn, signOut } from './wallet.js';

const LIMIT = 50;
const main = document.getElementById('main');
let me = null;
let stop = null;
let drawn = 0;
let late = null;

function place() {
  const [name = 'overview', id = ''] = location.hash.replace(/^#\/?/, '').split('/').filter(Boolean);
  return { name: name || 'overview', id };
}

async function screen({ name, id }) {
  const skip = Number.parseInt(id, 10) || 0;
  if (name === 'overview') return overview(await get('/api/overview'), me);
  if (name === 'incidents') return incidents(await get(`/api/incidents?limit=${LIMIT}&skip=${skip}`), skip, LIMIT);
  if (name === 'orders') return orders(await get(`/api/orders?limit=${LIMIT}&skip=${skip}`), skip, LIMIT, me);
  if (name === 'incident' && /^0x[0-9a-f]{64}$/.test(id)) return room(await get(`/api/incidents/${id}`), me);
  return [h('h1', {}, 'There is no such screen'), h('p', {}, h('a', { href: '#/' }, 'Back to the overview'))];
}

async function sight() {
  const it = await get('/api/overview');
  const pill = document.getElementById('sight');
  pill.textContent = it.healthy ? 'SIGHTED' : 'BLIND';
  pill.className = `pill ${it.healthy ? 'good' : 'bad'}`;
  document.getElementById('protocol').textContent = it.name;
}

// Draws the screen. Of several calls only the last one counts.
async function draw() {
  const mine = ++drawn;
  const at = place();
  for (const it of document.querySelectorAll('[data-nav]')) {
    if (it.dataset.nav === at.name) it.setAttribute('aria-current', 'page'); else it.removeAttribute('aria-current');
  }
  if (!me) return render(main, welcome());
  try {
    const [content] = await Promise.all([screen(at), sight()]);
    if (mine === drawn) { render(main, content); document.title = `${main.querySelector('h1')?.textContent.trim() || 'Cofferdam'} · Cofferdam`; }
  } catch (error) {
    if (error.status === 401) return enter(null);
    if (mine === drawn) render(main, [h('h1', {}, 'This cannot be shown now'), fault(error), h('button', { type: 'button', onclick: draw }, 'Try again')]);
  }
}

function welcome(error) {
  const button = h('button', { type: 'button', id: 'sign-in', 'data-key': 'sign-in', onclick: (event) => enterWithWallet(event.currentTarget) }, 'Sign in with your wallet');
  return [h('h1', {}, 'Sign in'), error ? fault(error) : null,
    card('Who are you', '', h('p', {}, 'The response plan names who may look and who may act, by the addresses of their wallets. Signing in approves nothing.'),
      h('div', { class: 'actions' }, button),
      window.ethereum ? null : h('p', { class: 'soft' }, 'This browser has no wallet. Open this page where your wallet is; programs use a token.'))];
}

async function enterWithWallet(button) {
  button.disabled = true;
  try { enter(await signIn()); say('Signed in.'); } catch (error) { render(main, welcome(error)); say(`Not signed in. ${error.message}`); }
}

function enter(who) {
  me = who;
  const box = document.getElementById('who');
  if (!me) {
    box.replaceChildren();
    document.getElementById('sight').textContent = '…';
    document.getElementById('sight').className = 'pill plain';
  } else {
    box.replaceChildren(h('span', { class: 'soft' }, me.name, me.roles.length ? ` (${me.roles.join(', ')})` : ' (looks only)'),
      h('button', { type: 'button', class: 'quiet', onclick: async () => { await signOut().catch(() => {}); enter(null); } }, 'Sign out'));
  }
  if (stop) { stop(); stop = null; }
  if (me) stop = listen(changed, linked);
  linked(true);
  draw();
}

// Many changes at once are looked at once.
function changed() {
  if (late) return;
  late = setTimeout(() => { late = null; draw(); }, 150);
}

function linked(works) {
  const bar = document.getElementById('link');
  bar.hidden = works;
  bar.textContent = works ? '' : 'Not live: the connection is lost, and is being made anew. What you see may be old.';
}

const KEYS = [['g o', 'overview'], ['g i', 'incidents'], ['g r', 'orders'], ['j / k', 'next / previous incident'], ['a', 'acknowledge'], ['t', 'add a task'], ['y', 'approve the first order'], ['?', 'this list']];

// Single keys may be in the way of somebody who speaks to their machine: they can be switched off.
const off = () => localStorage.getItem('keys') === 'off';

async function help() {
  const turned = await ask({ title: 'Keys', about: h('div', {}, h('p', { class: 'soft' }, off() ? 'They are switched off.' : 'They are on.'),
    h('dl', { class: 'facts' }, KEYS.map(([key, what]) => [h('dt', {}, h('kbd', {}, key)), h('dd', {}, what)]))),
  fields: [], act: off() ? 'Switch on' : 'Switch off' });
  if (turned) localStorage.setItem('keys', off() ? 'on' : 'off');
}

function step(by) {
  const rows = [...main.querySelectorAll('[data-row]')];
  const at = rows.indexOf(document.activeElement);
  const next = rows[Math.min(rows.length - 1, Math.max(0, at + by))];
  if (next) next.focus();
}

let prefix = '';
document.addEventListener('keydown', (event) => {
  const typing = event.target.closest('input, textarea, select, dialog[open]');
  if (typing || off() || event.ctrlKey || event.metaKey || event.altKey) return;
  const press = (name) => main.querySelector(`[data-act="${name}"]`)?.click();
  const go = { o: '#/', i: '#/incidents', r: '#/orders' };
  if (prefix === 'g' && go[event.key]) { prefix = ''; location.hash = go[event.key]; return; }
  prefix = event.key === 'g' ? 'g' : '';
  const keys = { j: () => step(1), k: () => step(-1), a: () => press('acknowledge'), t: () => press('task'), y: () => press('approve'), '?': help };
  if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
});

document.getElementById('help').addEventListener('click', help);
document.addEventListener('look', draw);
window.addEventListener('hashchange', () => { draw().then(() => main.focus({ preventScroll: true })); window.scrollTo(0, 0); });
session().then(enter, (error) => render(main, [h('h1', {}, 'This cannot be shown now'), fault(error), h('button', { type: 'button', onclick: () => location.reload() }, 'Try again')]));
