// Talking to the server: our own origin and nobody else.

let csrf = null;

export class Refused extends Error {
  constructor(status, error) {
    super(error.message || `the server said ${status}`);
    this.status = status;
    this.code = error.code || '';
    this.hint = error.hint || '';
  }
}

export async function call(method, path, body) {
  const headers = {};
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (method !== 'GET' && csrf) headers['x-cofferdam-csrf'] = csrf;
  let response;
  try {
    response = await fetch(path, { method, headers, credentials: 'same-origin', body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Refused(0, { message: 'The server cannot be reached.', hint: 'Containment that is authorised goes on without this page. Is the program running?' });
  }
  const value = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, value.error || {});
  return value;
}

export const get = (path) => call('GET', path);
export const post = (path, body) => call('POST', path, body);

// Who is signed in; nothing if nobody is.
export async function session() {
  try {
    const it = await get('/api/session');
    csrf = it.csrf;
    return it;
  } catch (error) {
    if (error.status !== 401) throw error;
    csrf = null;
    return null;
  }
}

// Listens to changes until it is told to stop. `link` says whether it hears anything.
export function listen(change, link) {
  const source = new EventSource('/api/events');
  source.addEventListener('open', () => { link(true); change(null); });
  source.addEventListener('error', () => link(false));
  for (const name of ['change', 'sight', 'resync']) {
    source.addEventListener(name, (it) => change(name === 'change' ? JSON.parse(it.data) : null));
  }
  return () => source.close();
}
