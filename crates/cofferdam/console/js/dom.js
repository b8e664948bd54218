// Building the page. Text only ever becomes text: nothing that came from outside is read as markup.

export function h(tag, attributes, ...children) {
  const it = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) it.addEventListener(name.slice(2), value);
    else it.setAttribute(name, value === true ? '' : String(value));
  }
  it.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return it;
}

// Puts new content in place and keeps the focus where it was.
export function render(target, ...content) {
  const key = document.activeElement && document.activeElement.dataset && document.activeElement.dataset.key;
  const open = new Map([...target.querySelectorAll('details[data-key]')].map((it) => [it.dataset.key, it.open]));
  target.replaceChildren(...content.flat(Infinity).filter(Boolean));
  for (const it of target.querySelectorAll('details[data-key]')) if (open.has(it.dataset.key)) it.open = open.get(it.dataset.key);
  if (!key || target.contains(document.activeElement)) return;
  for (const it of target.querySelectorAll('[data-key]')) if (it.dataset.key === key) { it.focus(); break; }
}

export function say(text) {
  document.getElementById('said').textContent = text;
}

export const short = (id) => (id || '').replace(/^0x/, '').slice(0, 8);

export function when(ms) {
  return new Date(ms).toISOString().replace('T', ' ').slice(0, 19) + ' UTC';
}

export function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60 ? `${s % 60} s` : ''}`.trim();
  if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
  return `${Math.floor(s / 86400)} d`;
}

export function pill(text, kind) {
  return h('span', { class: `pill ${kind}` }, text);
}

export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== '');
  return h('dl', { class: 'facts' }, shown.map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]));
}

export function card(title, kind, ...content) {
  const id = `s-${title.toLowerCase().replace(/[^a-z]+/g, '-')}`;
  return h('section', { class: `card ${kind || ''}`, 'aria-labelledby': id }, h('h2', { id }, title), content);
}

export function fault(error) {
  return h('div', { class: 'fault', role: 'alert' }, h('p', { class: 'strong' }, error.message || String(error)),
    error.hint ? h('p', {}, error.hint) : null);
}

// Asks in a dialog; gives the answers by name, or nothing.
export function ask({ title, about, fields, act, kind }) {
  const dialog = document.getElementById('dialog');
  return new Promise((resolve) => {
    const inputs = fields.map((it) => {
      const input = it.options
        ? h('select', { name: it.name }, it.options.map((value) => h('option', { value }, value)))
        : h(it.long ? 'textarea' : 'input', { name: it.name, required: it.required, maxlength: it.max || 900, rows: it.long ? 3 : null, autocomplete: 'off' });
      return h('label', {}, it.label, input);
    });
    const form = h('form', { method: 'dialog' }, h('h2', { id: 'dialog-title' }, title), about || null, inputs,
      h('div', { class: 'actions' },
        act ? h('button', { type: 'submit', value: 'yes', class: kind || '' }, act) : null,
        h('button', { type: 'button', class: 'quiet', autofocus: fields.length === 0, onclick: () => dialog.close('') }, fields.length ? 'Cancel' : 'Close')));
    dialog.replaceChildren(form);
    dialog.onclose = () => {
      const data = Object.fromEntries(new FormData(form));
      resolve(dialog.returnValue === 'yes' ? data : null);
    };
    dialog.returnValue = '';
    dialog.showModal();
  });
}
