// The incident room: what is asked of people first, then why, then everything that happened.

import { card, facts, h, pill, short, span, when } from './dom.js';
import { findingItem } from './overview.js';
import { caseActions, orderItem, taskItem } from './respond.js';

const CLOCKS = { waiting: ['not begun', 'plain'], running: ['runs', 'warn'], overdue: ['OVERDUE', 'bad'], met: ['met', 'good'], missed: ['missed', 'bad'] };

function ledgerCard(it) {
  if (!it) return card('Why', 'wide', h('p', { class: 'empty' }, 'Nothing was decided yet.'));
  const cells = (tag, list) => h('tr', {}, list.map((text) => h(tag, tag === 'th' ? { scope: 'col' } : {}, text)));
  return card('Why', 'wide',
    h('p', {}, `Attack: ${it.posterior} after the evidence, ${it.prior} before. `, h('strong', {}, it.chosen ? `Chosen: ${it.chosen}.` : 'Chosen: watch and notify.')),
    h('p', { class: 'soft' }, `decided ${when(it.at)}`),
    it.options.length ? h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Actions that were weighed' }, h('table', {}, h('caption', {}, 'Actions that were weighed'),
      h('thead', {}, cells('th', ['Action', 'Avoids', 'Costs', 'From', 'Net', 'Verdict'])),
      h('tbody', {}, it.options.map((o) => cells('td', [o.action, o.avoided, o.cost, o.threshold, o.net, o.verdict]))))) : null,
    h('details', { 'data-key': 'terms' }, h('summary', { 'data-key': 'terms-s' }, `Every number that went in (${it.terms.length})`),
      h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Numbers' }, h('table', {}, h('thead', {}, cells('th', ['What', 'Value', 'From'])),
        h('tbody', {}, it.terms.map((t) => cells('td', [t.name, t.value, t.source])))))),
    it.flips.length ? h('div', {}, h('h3', {}, 'What would change it'), h('ul', {}, it.flips.map((text) => h('li', {}, text)))) : null);
}

function clockItem(it) {
  const [text, kind] = CLOCKS[it.state] || [it.state, 'plain'];
  const took = it.state === 'waiting' ? '' : span(it.elapsed_ms);
  return h('li', {}, h('div', { class: 'row spread' }, h('span', {}, `${it.from} → ${it.to}`),
    h('span', { class: 'row' }, h('span', { class: 'soft' }, took, it.target_ms ? ` of ${span(it.target_ms)}` : ''), pill(text, kind))));
}

function source(it) {
  if (it.source.from === 'person') return it.source.by;
  return it.source.from === 'playbook' ? `playbook ${it.source.run}` : 'engine';
}

function moment(it) {
  const late = it.recorded - it.at >= 60000 ? ` (recorded ${span(it.recorded - it.at)} later)` : '';
  return h('li', {}, h('div', { class: 'moment' }, h('time', { datetime: new Date(it.at).toISOString(), class: 'soft' }, when(it.at)),
    h('p', {}, h('span', { class: 'strong' }, `${source(it)}: `), it.text, late)));
}

function caseCards(it, me) {
  if (!it) return [card('Response', '', h('p', { class: 'empty' }, 'There is no case for it.'))];
  const roles = Object.entries(it.roles).map(([role, who]) => [role, who.join(', ')]);
  const timeline = it.timeline;
  return [
    card('Response', '', facts([['case', it.line.title], ['stands', it.line.state.replace('-', ' ')], ...roles]),
      it.line.commander ? null : h('p', { class: 'strong' }, 'Nobody commands.'), caseActions(it, me)),
    card('Tasks', '', it.tasks.length ? h('ul', { class: 'list' }, it.tasks.map((one) => taskItem(one, it.line.id, me))) : h('p', { class: 'empty' }, 'Nothing is to be done yet.')),
    card('Clocks', '', h('ul', { class: 'list' }, it.clocks.map(clockItem))),
    card('Timeline', 'wide', h('ol', { class: 'list', reversed: true }, timeline.items.map(moment)),
      timeline.total > timeline.items.length ? h('p', { class: 'soft' }, `and ${timeline.total - timeline.items.length} earlier moments: cofferdam incident case --timeline`) : null),
  ];
}

export function room(it, me) {
  const line = it.line;
  const [first, ...others] = caseCards(it.case, me);
  const more = it.findings.total - it.findings.items.length;
  return [
    h('div', { class: 'row spread' }, h('h1', {}, `${line.entity} `, h('span', { class: 'hash' }, short(line.id))),
      h('span', { class: 'row' }, line.priority ? pill(line.priority, line.priority === 'P1' ? 'bad' : 'plain') : null, pill(line.state.replace('-', ' '), line.state === 'contained' ? 'good' : line.state === 'detected' || line.state === 'responding' ? 'bad' : 'plain'))),
    h('p', { class: 'soft' }, `${line.chain} · open for ${span(it.now - line.opened_at)} · attack now ${line.posterior || 'not judged'}`, line.held ? ` · held ${line.held}` : '', line.acknowledged ? ' · acknowledged' : ''),
    h('div', { id: 'trouble' }),
    h('div', { class: 'grid' },
      card('Orders', it.orders.some((one) => one.count.state === 'open' && !one.outcome) ? 'alarm' : '',
        it.orders.length ? h('ul', { class: 'list' }, it.orders.map((one) => orderItem(one, it.now, me))) : h('p', { class: 'empty' }, 'No order was decided for it.')),
      first,
      card('Evidence', 'wide', it.findings.items.length ? h('ul', { class: 'list' }, it.findings.items.map((one, at) => findingItem(one, at < 3))) : h('p', { class: 'empty' }, 'No finding counts now.'),
        more > 0 ? h('p', { class: 'soft' }, `and ${more} earlier findings`) : null,
        it.actors.length ? facts([['attacker', h('code', {}, it.actors.join(' '))]]) : null),
      ledgerCard(it.decision), others),
  ];
}
