// Orders to the server: asked about first, told when done, and no button for who may not give them.

import { Refused, may, post } from "./api.js";
import { ask } from "./dialog.js";
import { h } from "./dom.js";
import { count, many } from "./format.js";
import { tell } from "./notices.js";
import { release } from "./table.js";

const ENOUGH_COUNTED = 10_000;
const MOST_PREVIEWS = 3; // each may look at very many jobs
const DONE = { cancel: "cancelled", requeue: "requeued", move: "moved", delete: "deleted", purge: "cancelled" };
const going = new Set(); // the orders to many that go on, by what they are about

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

/**
 * A button for an order about many jobs; the question says how many it would be. It goes on until
 * none is left, and can be stopped meanwhile.
 * kind: such as "jobs/cancel"; path: where it is sent, if that says more. target: which jobs, as the
 * server takes it: {ids}, {filter}, {cause}. text: what the button shows, if that is less than
 * `label`. after: called once it is done, not if it was refused.
 */
export function orderJobs(view, { kind, path = `/${kind}`, label, text = label, name = null, question = `${label}?`, target, fields = [], isDangerous = false, isOff = false, after = () => {} }) {
  if (!may(kind)) return null;
  const key = `${path} ${JSON.stringify(target)}`;
  const run = async () => {
    const answers = await ask({
      title: question, confirm: label, isDangerous, fields,
      about: [h("p", { role: "status" }, "Counting …")],
      during: (parts) => preview(path, target, fields, parts),
    });
    if (answers === null) return;
    await alone(view, key, async () => {
      const isDone = await carryOut(view, { path, body: { ...target, ...answers }, label, done: DONE[kind.split("/")[1]] });
      if (isDone) after();
    });
  };
  return button({ label: text, name: name ? `${label} ${name}` : text === label ? null : label, isDangerous, isOff, isGoing: going.has(key), run });
}

/** While an order goes on its button does nothing: two of them would each enqueue all. */
function button({ label, name, isDangerous, isOff, isGoing = false, run }) {
  return h("button", {
    class: isDangerous && "danger", "aria-label": name, disabled: isOff, "aria-disabled": isGoing && "true", onclick: isGoing ? null : run,
  }, label);
}

/** Give an order that is known by `key`, unless it goes on already; the page shows what came of it. */
async function alone(view, key, give) {
  if (going.has(key)) return;
  going.add(key);
  view.draw();
  try {
    await give();
  } finally {
    going.delete(key);
    if (!view.isClosed) release();
    view.draw();
    view.reload(true);
  }
}

addEventListener("beforeunload", (event) => {
  if (going.size) event.preventDefault(); // what it has not looked at yet would be left as it is
});

/**
 * Give an order again and again, each time for the jobs that are older than those looked at; whether
 * it was not refused.
 */
async function carryOut(view, { path, body, label, done }) {
  const task = tell.going(`${label} …`);
  const sum = { matched: 0, done: 0 };
  const so = () => `${label}: ${count(sum.done)} ${done} so far`;
  try {
    for (let next = body; next !== null;) {
      const answer = await post(path, next);
      sum.matched += answer.matched;
      sum.done += answer.done;
      next = rest(next, answer);
      if (next === null) tell.done(answer.more ? `${so()}; there may be more: give the order once more` : `${label}: ${count(sum.done)} of ${many(sum.matched, "job")}`);
      else if (task.isStopped) tell.done(`${so()}; stopped`);
      if (task.isStopped) break;
      task.say(`${so()} …`);
      view.reload(true);
    }
    return true;
  } catch (fault) {
    if (!(fault instanceof Refused)) throw fault;
    tell.refused(sum.done ? `${so()}, and then: ${fault.message}` : fault.message);
    return false;
  } finally {
    task.end();
  }
}

/** The same order for what is older than all that it has looked at; null if that is all. */
function rest(body, { more, next_before: before }) {
  if (!more || before == null) return null;
  const last = body.filter ? body.filter.before : body.before;
  if (last !== undefined && before >= last) return null; // it would look at the same jobs for ever
  return body.filter ? { ...body, filter: { ...body.filter, before } } : { ...body, before };
}

/** Say how many jobs it would be; of very many, or after some steps, that they are at least so many. */
async function preview(path, target, fields, { words, button: confirm, dialog }) {
  const say = (text) => words.replaceChildren(h("p", { role: "status" }, text));
  confirm.disabled = true;
  // Where jobs go does not change which they are; but the server wants to be told of each field.
  const given = Object.fromEntries(fields.map(({ name }) => [name, "default"]));
  let sum = 0;
  let next = { ...target, ...given, preview: true };
  let isAll = false;
  try {
    for (let step = 1; next !== null && step <= MOST_PREVIEWS && sum < ENOUGH_COUNTED && dialog.open; step += 1) {
      const answer = await post(path, next);
      sum += answer.matched;
      next = rest(next, answer);
      isAll = !answer.more;
      confirm.disabled = !sum && isAll;
      say(sum ? `It is about at least ${many(sum, "job")}; still looking …` : "Still looking: no job has been found yet …");
    }
    say(found(sum, isAll));
  } catch (fault) {
    if (!(fault instanceof Refused)) throw fault;
    say(fault.message);
  }
}

function found(sum, isAll) {
  if (sum) return `It is about ${isAll ? "" : "at least "}${many(sum, "job")}.`;
  return isAll ? "No job is in a state for it." : "None of the youngest jobs is in a state for it; older ones may be.";
}

async function give(view, path, body, done) {
  try {
    const answer = await post(path, body);
    release();
    tell.done(typeof done === "function" ? done(answer ?? {}) : done);
    return answer;
  } catch (fault) {
    if (!(fault instanceof Refused)) throw fault;
    tell.refused(fault.message);
    return null;
  } finally {
    view.reload(true);
  }
}
