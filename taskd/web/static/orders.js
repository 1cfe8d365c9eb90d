// Orders to the server: asked about first, told when done, and no button for who may not give them.

import { Refused, may, post } from "./api.js";
import { ask } from "./dialog.js";
import { h } from "./dom.js";
import { count, many } from "./format.js";
import { tell } from "./notices.js";
import { release } from "./table.js";

const ENOUGH_COUNTED = 10_000;
const DONE = { cancel: "cancelled", requeue: "requeued", move: "moved", delete: "deleted", purge: "cancelled" };

/**
 * A button for an order; null where it may not be given.
 * kind: what makes two orders alike, such as "queues/pause". path, body: what is sent; body may be a
 * function of the answers to `fields`. question: what is asked before; null: nothing is.
 */
export function order(view, { kind, label, name = null, path, body = {}, question = null, fields = [], isDangerous = false, done, isOff = false }) {
  if (!may(kind)) return null;
  const run = async () => {
    const answers = question === null && !fields.length ? {} : await ask({ title: question, confirm: label, isDangerous, fields });
    if (answers !== null) await give(view, path, typeof body === "function" ? body(answers) : body, done);
  };
  return button({ label, name: name && `${label} ${name}`, isDangerous, isOff, run });
}

/** A button for one order to each of several paths; `done` gets how many have heard it. */
export function orderEach(view, { kind, label, name, paths, question, isDangerous = false, done }) {
  if (!may(kind)) return null;
  const run = async () => {
    if (await ask({ title: question, confirm: label, isDangerous }) === null) return;
    const answers = await Promise.allSettled(paths.map((path) => post(path)));
    const refused = answers.find(({ status }) => status === "rejected");
    release();
    if (refused) tell.refused(refused.reason.message);
    const number = answers.filter(({ status }) => status === "fulfilled").length;
    if (number) tell.done(done(number));
    view.reload(true);
  };
  return button({ label, name: `${label} ${name}`, isDangerous, isOff: !paths.length, run });
}

/**
 * A button for an order about many jobs; the question says how many it would be. It goes on until
 * none is left, and can be stopped meanwhile.
 * kind: such as "jobs/cancel"; path: where it is sent, if that says more. target: which jobs, as the
 * server takes it: {ids}, {filter}, {cause}. text: what the button shows, if that is less than `label`.
 */
export function orderJobs(view, { kind, path = `/${kind}`, label, text = label, name = null, question = `${label}?`, target, fields = [], isDangerous = false, isOff = false, after = () => {} }) {
  if (!may(kind)) return null;
  const run = async () => {
    const answers = await ask({
      title: question, confirm: label, isDangerous, fields,
      about: [h("p", { role: "status" }, "Counting …")],
      during: (parts) => preview(path, target, fields, parts),
    });
    if (answers === null) return;
    await carryOut(view, { path, body: { ...target, ...answers }, label, done: DONE[kind.split("/")[1]] });
    after();
  };
  return button({ label: text, name: name ? `${label} ${name}` : text === label ? null : label, isDangerous, isOff, run });
}

function button({ label, name, isDangerous, isOff, run }) {
  return h("button", { class: isDangerous && "danger", "aria-label": name, disabled: isOff, onclick: run }, label);
}

/** Give an order again and again, each time for the jobs that are older than those looked at. */
async function carryOut(view, { path, body, label, done }) {
  const sum = { matched: 0, done: 0 };
  const so = () => `${label}: ${count(sum.done)} ${done} so far`;
  let going = null;
  let next = body;
  try {
    while (next !== null) {
      const answer = await post(path, next);
      release();
      sum.matched += answer.matched;
      sum.done += answer.done;
      next = going?.isStopped ? null : rest(next, answer);
      if (next !== null) going = going ?? tell.going();
      if (next !== null) going.say(`${so()} …`);
      view.reload(true);
    }
    tell.done(going?.isStopped ? `${so()}; stopped` : `${label}: ${count(sum.done)} of ${many(sum.matched, "job")}`);
  } catch (fault) {
    if (!(fault instanceof Refused)) throw fault;
    tell.refused(sum.done ? `${so()}, and then: ${fault.message}` : fault.message);
  } finally {
    going?.end();
    view.reload(true);
  }
}

/** The same order for what is older than all that it has looked at; null if that is all. */
function rest(body, { more, next_before: before }) {
  if (!more || before == null) return null;
  const last = body.filter ? body.filter.before : body.before;
  if (last !== undefined && before >= last) return null; // it would look at the same jobs for ever
  return body.filter ? { ...body, filter: { ...body.filter, before } } : { ...body, before };
}

/** Say how many jobs it would be; of very many, that they are at least so many. */
async function preview(path, target, fields, { words, button: confirm, dialog }) {
  const say = (text) => words.replaceChildren(h("p", { role: "status" }, text));
  confirm.disabled = true;
  // Where jobs go does not change which they are; but the server wants to be told of each field.
  const given = Object.fromEntries(fields.map(({ name }) => [name, "default"]));
  let sum = 0;
  let next = { ...target, ...given, preview: true };
  try {
    while (next !== null && dialog.open) {
      const answer = await post(path, next);
      sum += answer.matched;
      next = rest(next, answer);
      confirm.disabled = !sum && next === null;
      if (next === null || sum >= ENOUGH_COUNTED) break;
      say(sum ? `It is about at least ${many(sum, "job")}; still looking …` : "Still looking: no job has been found yet …");
    }
    say(sum ? `It is about ${next === null ? "" : "at least "}${many(sum, "job")}.` : "No job is in a state for it.");
  } catch (fault) {
    if (!(fault instanceof Refused)) throw fault;
    say(fault.message);
  }
}

async function give(view, path, body, done) {
  try {
    const answer = await post(path, body);
    release();
    tell.done(typeof done === "function" ? done(answer ?? {}) : done);
    return answer;
  } catch (fault) {
    tell.refused(fault.message);
    return null;
  } finally {
    view.reload(true);
  }
}
