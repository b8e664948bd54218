// What a person does: acknowledge, take a role, keep tasks, approve, deny, veto.

import { post } from './api.js';
import { ask, fault, facts, h, pill, say, span, when } from './dom.js';
import { vote } from './wallet.js';

const COUNTS = { open: ['needs people', 'warn'], approved: ['approved', 'good'], denied: ['denied', 'bad'], vetoed: ['vetoed', 'bad'], expired: ['expired', 'plain'], waiting: ['waits for vetoes', 'warn'] };
const ROLES = ['commander', 'scribe', 'comms', 'signer', 'counsel'];

// Runs something, says how it went, and has the screen drawn anew.
export async function act(button, what, run) {
  const place = document.getElementById('trouble');
  if (place) place.replaceChildren();
  if (button) button.disabled = true;
  try {
    const done = await run();
    if (done !== null) say(`${what}: done.`);
  } catch (error) {
    say(`${what}: refused. ${error.message}`);
    const box = fault(error);
    const main = document.getElementById('main');
    if (place) place.append(box); else main.prepend(box);
    box.scrollIntoView({ block: 'nearest' });
  } finally {
    if (button) button.disabled = false;
    document.dispatchEvent(new Event('look'));
  }
}

// `signer, signer` as `2 × signer`.
function several(names) {
  const count = new Map();
  for (const it of names) count.set(it, (count.get(it) || 0) + 1);
  return [...count].map(([name, n]) => (n > 1 ? `${n} × ${name}` : name)).join(', ');
}

function outcome(it) {
  const o = it.outcome;
  if (!o) return it.held ? pill('held', 'warn') : it.attempts > 0 ? pill(`out, attempt ${it.attempts}`, 'warn') : null;
  if (o.outcome === 'effective') return pill(`effective since block ${o.block.number}`, 'good');
  return pill(o.outcome === 'vetoed' ? `vetoed by ${o.by}` : o.outcome, o.outcome === 'expired' ? 'plain' : 'bad');
}

function callFacts(it) {
  return Object.entries(it.call).map(([name, value]) => [name, h('code', {}, String(value))]);
}

async function decide(button, it, verdict, me) {
  const word = { approve: 'Approve', deny: 'Deny', veto: 'Veto' }[verdict];
  const said = await ask({
    title: `${word} ${it.action}?`,
    about: h('div', {}, h('p', {}, `Your wallet signs “${verdict}” for exactly this order on ${it.chain}. It cannot be used for another one.`),
      facts([['order', h('code', {}, it.key)], ...callFacts(it), ['expires', when(it.expires_at)], ['undoes itself', it.self_expiring ? 'yes, by time' : 'no']])),
    fields: [{ name: 'reason', label: verdict === 'approve' ? 'Reason (for the record)' : 'Reason', required: verdict !== 'approve' }],
    act: `${word} with wallet`, kind: verdict === 'approve' ? '' : 'danger',
  });
  if (said) await act(button, `${word} ${it.action}`, () => vote(it.key, verdict, said.reason.trim(), me));
}

export function orderItem(it, now, me) {
  const count = it.count;
  const open = !it.outcome && it.attempts === 0 && it.expires_at > now;
  const asked = me && me.kind === 'person' && count.people.includes(me.name);
  const button = (verdict, text, kind) => h('button', { type: 'button', class: kind, 'data-key': `${verdict}-${it.key}`, 'data-act': verdict, onclick: (event) => decide(event.currentTarget, it, verdict, me) }, text);
  const [text, kind] = COUNTS[count.state] || [count.state, 'plain'];
  const wanted = count.state === 'open' && me && me.roles.length > 0;
  return h('li', {},
    h('div', { class: 'row spread' }, h('h3', {}, it.action),
      h('span', { class: 'row' }, outcome(it), open || !it.outcome ? pill(text, kind) : null)),
    h('p', { class: 'soft' }, h('a', { href: `#/incident/${it.incident}`, 'data-key': `oi-${it.key}` }, `incident ${it.incident.slice(2, 10)}`),
      ` · ${it.chain} · decided ${when(it.decided_at)}`, open ? ` · ${span(it.expires_at - now)} left` : ''),
    it.held ? h('p', {}, `waits: ${it.held}`) : null,
    h('p', {}, count.approving.length ? `approve: ${count.approving.join(', ')}` : 'nobody approves yet',
      count.refusing.length ? ` · refuse: ${count.refusing.join(', ')}` : '',
      open && count.missing.length ? h('strong', {}, ` · missing: ${several(count.missing)}`) : ''),
    open && asked ? h('div', { class: 'actions' }, wanted && !count.approving.includes(me.name) ? button('approve', 'Approve', '') : null,
      wanted && !count.refusing.includes(me.name) ? button('deny', 'Deny', 'quiet') : null, me.veto ? button('veto', 'Veto', 'danger') : null) : null,
    open && !asked ? h('p', { class: 'soft' }, `Asked are: ${count.people.join(', ') || 'nobody in the plan'}.`) : null,
    h('details', { 'data-key': `od-${it.key}` }, h('summary', { 'data-key': `os-${it.key}` }, 'What it does, and every vote'),
      facts([['order', h('code', {}, it.key)], ...callFacts(it), ['expires', when(it.expires_at)], ['undoes itself', it.self_expiring ? 'yes, by time' : 'no'],
        ['not counted', count.refused.length ? count.refused.join('; ') : null]])));
}

export function caseActions(it, me) {
  const may = me && (me.kind === 'machine' || me.roles.length > 0);
  if (!it || !may) return null;
  const id = it.line.id;
  const mine = ROLES.filter((role) => me.roles.includes(role));
  const acknowledge = (event) => act(event.currentTarget, 'Acknowledge', () => post(`/api/cases/${id}/acknowledge`, {}));
  const role = async (event) => {
    const button = event.currentTarget;
    const said = await ask({ title: 'Take a role', fields: [{ name: 'role', label: 'Role', options: mine }], act: 'Take it' });
    if (said) await act(button, `Take ${said.role}`, () => post(`/api/cases/${id}/roles`, { role: said.role }));
  };
  const task = async (event) => {
    const button = event.currentTarget;
    const said = await ask({ title: 'Add a task', fields: [{ name: 'title', label: 'What is to be done', required: true }, { name: 'owner', label: 'Who (a name of the plan; may stay empty)' }], act: 'Add' });
    if (said) await act(button, 'Add a task', () => post(`/api/cases/${id}/tasks`, { title: said.title, ...(said.owner.trim() ? { owner: said.owner.trim() } : {}) }));
  };
  const note = async (event) => {
    const button = event.currentTarget;
    const said = await ask({ title: 'Add a note', fields: [{ name: 'text', label: 'What happened', required: true, long: true }], act: 'Record' });
    if (said) await act(button, 'Note', () => post(`/api/cases/${id}/notes`, { text: said.text }));
  };
  return h('div', { class: 'actions' },
    it.line.acknowledged ? null : h('button', { type: 'button', 'data-key': 'ack', 'data-act': 'acknowledge', onclick: acknowledge }, 'Acknowledge'),
    mine.length ? h('button', { type: 'button', class: 'quiet', 'data-key': 'role', 'data-act': 'role', onclick: role }, 'Take a role') : null,
    h('button', { type: 'button', class: 'quiet', 'data-key': 'task', 'data-act': 'task', onclick: task }, 'Add a task'),
    h('button', { type: 'button', class: 'quiet', 'data-key': 'note', 'data-act': 'note', onclick: note }, 'Add a note'));
}

export function taskItem(it, id, me) {
  const open = it.state === 'open';
  const may = open && me && (me.kind === 'machine' || me.roles.length > 0);
  const done = open ? pill('open', 'warn') : it.state.done ? pill(`done by ${it.state.done.by}`, 'good') : pill(`dropped by ${it.state.dropped.by}`, 'plain');
  const move = (to, what) => (event) => act(event.currentTarget, what, () => post(`/api/cases/${id}/tasks/${it.number}`, { to }));
  const drop = async (event) => {
    const button = event.currentTarget;
    const said = await ask({ title: `Drop task ${it.number}?`, fields: [{ name: 'because', label: 'Reason', required: true }], act: 'Drop', kind: 'danger' });
    if (said) await act(button, 'Drop', () => post(`/api/cases/${id}/tasks/${it.number}`, { to: 'drop', because: said.because }));
  };
  const button = (key, text, run) => h('button', { type: 'button', class: 'quiet', 'data-key': `${key}-${it.number}`, onclick: run, 'aria-label': `${text} task ${it.number}` }, text);
  return h('li', {}, h('div', { class: 'row spread' }, h('h3', {}, `${it.number}. ${it.title}`), done),
    h('p', { class: 'soft' }, it.owner ? `owner ${it.owner}` : h('strong', {}, 'nobody has it'), it.due ? ` · due ${when(it.due)}` : ''),
    may ? h('div', { class: 'actions' }, button('take', 'Take', move('take', 'Take')), button('finish', 'Finish', move('finish', 'Finish')), button('drop', 'Drop', drop)) : null);
}
