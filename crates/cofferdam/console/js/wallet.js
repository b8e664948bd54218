// The injected wallet: it signs in and it votes. Keys never leave it.

import { call, post, session } from './api.js';

function provider() {
  if (window.ethereum) return window.ethereum;
  const error = new Error('There is no wallet in this browser.');
  error.hint = 'Open this page in a browser with a wallet, or in the browser of your wallet.';
  throw error;
}

const hex = (text) => '0x' + [...new TextEncoder().encode(text)].map((it) => it.toString(16).padStart(2, '0')).join('');

async function request(method, params) {
  try {
    return await provider().request({ method, params });
  } catch (error) {
    if (error.hint) throw error;
    const told = new Error(error.code === 4001 ? 'You declined it in the wallet.' : `The wallet said: ${error.message}`);
    told.hint = 'Nothing was sent.';
    throw told;
  }
}

async function account(known) {
  const accounts = await request('eth_requestAccounts', []);
  const mine = known && accounts.find((it) => known.some((one) => one.toLowerCase() === it.toLowerCase()));
  if (known && !mine) {
    const error = new Error('The wallet does not offer the account you signed in with.');
    error.hint = 'Choose it in the wallet and try again.';
    throw error;
  }
  if (!accounts.length) throw new Error('The wallet offers no account.');
  return mine || accounts[0];
}

export async function signIn() {
  const address = await account(null);
  const { message } = await post('/api/session/message', { address });
  const signature = await request('personal_sign', [hex(message), address]);
  await post('/api/session', { message, signature });
  return session();
}

export async function signOut() {
  await call('DELETE', '/api/session');
}

export async function vote(order, verdict, reason, me) {
  const voter = await account(me.accounts);
  const path = `/api/orders/${order}`;
  const { typed, at, expires } = await post(`${path}/question`, { verdict, reason });
  const signature = await request('eth_signTypedData_v4', [voter, JSON.stringify(typed)]);
  return post(`${path}/votes`, { verdict, reason, at, expires, voter, signature });
}
