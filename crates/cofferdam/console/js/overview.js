// The first screen, and the lists: what we cannot see and what would not work come first.

import { card, facts, h, pill, short, span, when } from './dom.js';
import { orderItem } from './respond.js';

const STATES = { detected: 'bad', responding: 'warn', contained: 'good', closed: 'plain', 'false-alarm': 'plain' };

export function incidentItem(it, now) {
  return h('li', {},
    h('div', { class: 'row spread' },
      h('h3', {}, h('a', { href: `#/incident/${it.id}`, 'data-key': `i-${it.id}`, 'data-row': true }, `${it.entity} `, h('span', { class: 'hash' }, short(it.id)))),
      h('span', { class: 'row' }, it.priority ? pill(it.priority, it.priority === 'P1' ? 'bad' : 'plain') : null, pill(it.state.replace('-', ' '), STATES[it.state] || 'plain'))),
    h('p', { class: 'soft' }, `${it.chain} · open for ${span(now - it.opened_at)} · ${it.findings} finding${it.findings === 1 ? '' : 's'}`,
      it.posterior ? ` · attack ${it.posterior}` : '', it.held ? ` · held ${it.held}` : ''),
    h('p', { class: 'soft' }, it.acknowledged ? 'acknowledged' : h('strong', {}, 'NOT acknowledged'), ' · ', it.commander ? `commander ${it.commander}` : h('strong', {}, 'nobody commands')));
}

function sightCard(it) {
  const chains = Object.entries(it.heads);
  const others = Object.entries(it.blind).filter(([name]) => !(name in it.heads));
  const blind = (name) => it.blind[name];
  const line = ([name, head]) => h('li', {},
    h('div', { class: 'row spread' }, h('h3', {}, name),
      blind(name) ? pill('BLIND', 'bad') : head === null ? pill('not looked at yet', 'warn') : pill('sighted', 'good')),
    h('p', { class: 'soft' }, blind(name) || (head === null ? 'no block was evaluated since the start' : `block ${head} is evaluated`)),
    it.degraded[name] ? h('p', { class: 'soft' }, `less than it should: ${it.degraded[name]}`) : null);
  const broken = others.map(([name, why]) => h('li', {}, h('div', { class: 'row spread' }, h('h3', {}, name), pill('BLIND', 'bad')), h('p', { class: 'soft' }, why)));
  return card('Can we see', it.healthy ? '' : 'alarm', h('ul', { class: 'list' }, broken, chains.map(line)),
    chains.length ? null : h('p', { class: 'empty' }, 'The plan watches no chain.'));
}

function readinessCard(it) {
  const red = it.readiness.filter((one) => !one.ready);
  const line = (one) => h('li', {},
    h('div', { class: 'row spread' }, h('h3', {}, one.action), one.ready ? pill('nothing wrong', 'good') : pill('NOT READY', 'bad')),
    h('p', { class: 'soft' }, `for ${one.contains.join(', ')}`), one.because.map((why) => h('p', {}, why)));
  return card('Would it work', red.length ? 'alarm' : '',
    it.readiness.length ? h('ul', { class: 'list' }, [...red, ...it.readiness.filter((one) => one.ready)].map(line))
      : h('p', { class: 'empty' }, 'The plan has no action: nothing can be done by this program.'));
}

export function overview(it, me) {
  return [
    h('h1', {}, 'Overview'),
    h('p', { class: 'soft' }, `as of ${when(it.now)}, journal entry ${it.seq}`),
    h('div', { class: 'grid' }, sightCard(it), readinessCard(it),
      card('Waits for people', it.waiting.length ? 'alarm wide' : 'wide',
        it.waiting.length ? h('ul', { class: 'list' }, it.waiting.map((one) => orderItem(one, it.now, me)))
          : h('p', { class: 'empty' }, 'No order waits for anybody.')),
      card('Open incidents', 'wide',
        it.incidents.length ? h('ul', { class: 'list' }, it.incidents.map((one) => incidentItem(one, it.now)))
          : h('p', { class: 'empty' }, it.healthy ? 'No incident is open.' : 'No incident is open. What we cannot see is not in this list.'))),
  ];
}

function pager(total, skip, limit, path) {
  if (total <= limit) return null;
  const to = (at, text) => h('a', { href: `#/${path}/${at}` }, text);
  return h('p', { class: 'row' }, skip > 0 ? to(Math.max(0, skip - limit), 'Newer') : null,
    h('span', { class: 'soft' }, `${skip + 1} to ${Math.min(total, skip + limit)} of ${total}`),
    skip + limit < total ? to(skip + limit, 'Older') : null);
}

export function incidents(page, skip, limit) {
  return [h('h1', {}, 'Incidents'), card(`${page.total} in the journal`, '',
    page.items.length ? h('ul', { class: 'list' }, page.items.map((it) => incidentItem(it, Date.now())))
      : h('p', { class: 'empty' }, 'The journal has no incident. A drill writes one: cofferdam drill run.')),
  pager(page.total, skip, limit, 'incidents')];
}

export function orders(page, skip, limit, me) {
  return [h('h1', {}, 'Orders'), card(`${page.total} in the journal`, '',
    page.items.length ? h('ul', { class: 'list' }, page.items.map((it) => orderItem(it, Date.now(), me)))
      : h('p', { class: 'empty' }, 'No order was decided yet.')),
  pager(page.total, skip, limit, 'orders')];
}

export function findingItem(it, open) {
  return h('li', {},
    h('div', { class: 'row spread' }, h('h3', {}, it.summary),
      h('span', { class: 'row' }, it.retracted ? pill('retracted', 'plain') : null, pill(it.severity, it.severity === 'critical' || it.severity === 'high' ? 'bad' : 'plain'), pill(it.stage, 'plain'))),
    h('p', { class: 'soft' }, `${it.detector}, rule ${it.rule} · block ${it.block} · ${when(it.at)} · weight ${(it.llr_millinats / 1000).toFixed(2)} nat`),
    it.retracted ? h('p', {}, `taken back: ${it.retracted}`) : null,
    h('details', { 'data-key': `f-${it.id}`, open }, h('summary', { 'data-key': `fs-${it.id}` }, 'Evidence'),
      facts([...it.evidence.map((one) => [one.label, one.value]), ['loss', it.loss], ['contract', h('code', {}, it.subject)],
        ['transaction', it.tx ? h('code', {}, it.tx) : null], ['actors', it.actors.length ? h('code', {}, it.actors.join(' ')) : null]])));
}
