// Drives the console in a real Chromium, with a wallet that is injected as an extension would.
// Arguments: address of the console, folder for pictures, key of one signer, key of another.

import { createRequire } from 'node:module';
import path from 'node:path';
import assert from 'node:assert/strict';

const need = createRequire(path.join(process.env.COFFERDAM_BROWSER, 'package.json'));
const { chromium } = need('playwright-core');
const { privateKeyToAccount } = need('viem/accounts');
const axe = need('axe-core').source;

const [origin, pictures, ...keys] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox'] });
const foreign = [];
const faults = [];

// Somebody at a screen of their own.
async function person(key, options) {
  const account = privateKeyToAccount(key);
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.on('request', (it) => { if (!it.url().startsWith(origin) && !it.url().startsWith('data:')) foreign.push(it.url()); });
  page.on('console', (it) => { if (it.type() === 'error' && !/40[19]|503/.test(it.text())) faults.push(it.text()); });
  page.on('pageerror', (it) => faults.push(String(it)));
  await page.exposeFunction('walletRequest', async (method, params) => {
    if (method === 'eth_requestAccounts') return [account.address.toLowerCase()];
    if (method === 'personal_sign') return account.signMessage({ message: { raw: params[0] } });
    if (method === 'eth_signTypedData_v4') {
      const typed = JSON.parse(params[1]);
      delete typed.types.EIP712Domain;
      return account.signTypedData(typed);
    }
    throw new Error(`not asked for: ${method}`);
  });
  await page.addInitScript(() => {
    window.ethereum = { request: ({ method, params }) => window.walletRequest(method, params) };
  });
  return page;
}

async function signIn(page) {
  await page.goto(origin);
  await page.getByRole('button', { name: 'Sign in with your wallet' }).click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
}

// Keeps a picture of a screen, and has axe look for what would keep somebody out.
async function shoot(page, name) {
  await page.screenshot({ path: path.join(pictures, `${name}.png`), fullPage: true });
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
  const told = found.violations.map((it) => `${name}: ${it.id}: ${it.help}: ${it.nodes.map((node) => node.html).slice(0, 3).join(' ')}`);
  assert.deepEqual(told, [], 'axe finds nothing');
}

// No part of the page may be wider than the screen.
async function fits(page, what) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(over <= 0, `${what} is ${over} px too wide`);
}

try {
  const alice = await person(keys[0]);
  await alice.goto(origin);
  await alice.getByRole('button', { name: 'Sign in with your wallet' }).waitFor();
  await shoot(alice, 'sign-in-light');
  await signIn(alice);
  await alice.getByText('NOT READY').first().waitFor();
  await shoot(alice, 'overview-light');
  await alice.emulateMedia({ colorScheme: 'dark' });
  await shoot(alice, 'overview-dark');

  // By keyboard alone: to the incident, acknowledge, a task.
  await alice.keyboard.press('j');
  await alice.keyboard.press('Enter');
  await alice.getByRole('heading', { name: 'Evidence' }).waitFor();
  await shoot(alice, 'room-dark');
  await alice.emulateMedia({ colorScheme: 'light' });
  await shoot(alice, 'room-light');
  await alice.keyboard.press('a');
  await alice.getByText('acknowledged', { exact: false }).first().waitFor();
  await alice.getByRole('button', { name: 'Acknowledge' }).waitFor({ state: 'detached' });
  await alice.keyboard.press('t');
  await alice.getByLabel('What is to be done').fill('call the exchange');
  await alice.keyboard.press('Enter');
  await alice.getByText('1. call the exchange').waitFor();
  assert.equal(await alice.locator('main img').count(), 0, 'what came from the chain is text');

  // Another signer watches on a phone, and sees the vote without asking for it.
  const bob = await person(keys[1], { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  await signIn(bob);
  await fits(bob, 'the overview on a phone');
  await shoot(bob, 'overview-phone');
  await bob.locator('[data-row]').first().click();
  await bob.getByRole('heading', { name: 'Evidence' }).waitFor();
  await fits(bob, 'the room on a phone');
  await shoot(bob, 'room-phone');
  await alice.getByRole('button', { name: 'Approve' }).first().click();
  await alice.getByLabel('Reason').fill('the outflow is real');
  await shoot(alice, 'approve-light');
  await alice.getByRole('button', { name: 'Approve with wallet' }).click();
  await alice.getByText('approve: alice').first().waitFor();
  await bob.getByText('approve: alice').first().waitFor();
  await bob.emulateMedia({ colorScheme: 'dark' });
  await bob.getByRole('button', { name: 'Approve' }).first().click();
  await shoot(bob, 'approve-phone-dark');
  await bob.getByRole('button', { name: 'Approve with wallet' }).click();
  await bob.getByText('approve: alice, bob').first().waitFor();
  await alice.getByText('approve: alice, bob').first().waitFor();
  await shoot(bob, 'approved-phone-dark');
  for (const [name, heading] of [['incidents', 'Incidents'], ['orders', 'Orders']]) {
    await bob.goto(`${origin}/#/${name}`);
    await bob.getByRole('heading', { name: heading, exact: true }).waitFor();
    await fits(bob, name);
    await shoot(bob, `${name}-phone-dark`);
  }
  await alice.keyboard.press('?');
  await shoot(alice, 'keys-light');
  await alice.keyboard.press('Escape');

  // An error is told, and nothing is lost.
  await alice.route('**/api/orders**', (it) => it.abort());
  await alice.goto(`${origin}/#/orders`);
  await alice.getByRole('alert').waitFor();
  await shoot(alice, 'error-light');
  await alice.unroute('**/api/orders**');
  await alice.getByRole('button', { name: 'Try again' }).click();
  await alice.getByRole('heading', { name: 'Orders' }).waitFor();

  assert.deepEqual(foreign, [], 'no other host is contacted');
  assert.deepEqual(faults.filter((it) => !/ERR_FAILED/.test(it)), [], 'nothing failed in the page');
  console.log('the console works');
} finally {
  await browser.close();
}
