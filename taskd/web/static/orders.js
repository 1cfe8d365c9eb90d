// Orders to the server: asked about first, told when done, and no button for who may not give them.

import { may, post } from "./api.js";
import { ask } from "./dialog.js";
import { h } from "./dom.js";
import { count, many } from "./format.js";
import { tell } from "./notices.js";
import { release } from "./table.js";

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
  return h("button", { class: isDangerous && "danger", "aria-label": name && `${label} ${name}`, disabled: isOff, onclick: run }, label);
}

/**
 * A button for an order about many jobs; the question says how many it would be.
 * kind: such as "jobs/cancel". target: which jobs, as the server takes it: {ids}, {filter}, {cause}.
 */
export function orderJobs(view, { kind, label, name = null, target, fields = [], isDangerous = false, isOff = false, after = () => {} }) {
  if (!may(kind)) return null;
  const run = async () => {
    const answers = await ask({
      title: `${label}?`, confirm: label, isDangerous, fields,
      about: [h("p", { role: "status" }, "Counting …")],
      during: (parts) => preview(kind, target, fields, parts),
    });
    if (answers === null) return;
    const further = goesOn(kind) ? ", and more follow" : ", and more are left: order it again";
    let body = { ...target, ...answers };
    while (body !== null) {
      const answer = await give(view, `/${kind}`, body, ({ matched, done, more }) =>
        `${label}: ${count(done)} of ${many(matched, "job")}${more ? further : ""}`);
      body = goesOn(kind) ? rest(body, answer) : null;
    }
    after();
  };
  return h("button", { class: isDangerous && "danger", "aria-label": name && `${label} ${name}`, disabled: isOff, onclick: run }, label);
}

/** What was requeued is still there, so that the same order again would do it to the same jobs. */
const goesOn = (kind) => kind.endsWith("requeue");

/** The same order for the jobs that were too many for the last one; null if there are none. */
function rest(body, answer) {
  if (!answer?.more) return null;
  const before = answer.next_before;
  return body.filter ? { ...body, filter: { ...body.filter, before } } : { ...body, before };
}

async function preview(kind, target, fields, { words, button }) {
  const say = (text) => words.replaceChildren(h("p", { role: "status" }, text));
  button.disabled = true;
  // Where jobs go does not change which they are; but the server wants to be told of each field.
  const given = Object.fromEntries(fields.map(({ name }) => [name, "default"]));
  try {
    const { matched, more } = await post(`/${kind}`, { ...target, ...given, preview: true });
    say(matched || more
      ? `It is about ${more ? "at least " : ""}${many(matched, "job")}.`
      : "No job is in a state for it.");
    button.disabled = !matched && !more;
  } catch (fault) {
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
