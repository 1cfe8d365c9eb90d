// Live stacks: where a worker's jobs stand, as the worker itself has answered.

import { h } from "./dom.js";
import { duration } from "./format.js";
import { block, jobLink } from "./parts.js";

/** What a worker has answered: its note, and each stack with whose it is. */
export function stackList(worker) {
  return [
    worker.note && h("p", { class: "note" }, worker.note),
    worker.stacks.map((stack, at) => h("div", { class: "stack", key: `${stack.job ?? ""} ${stack.who} ${at}` },
      heading(stack),
      stack.frames.length > 0 && block(stack.frames.map(lines).join("\n"), `Stack of ${name(stack)}`, true))),
  ];
}

function heading(stack) {
  return h("p", { class: "what" },
    stack.job === null ? h("b", {}, stack.who) : [h("b", {}, "job ", jobLink(stack.job)), stack.task && h("code", {}, ` ${stack.task}`)],
    stack.seconds !== null && h("span", {}, `, running for ${duration(stack.seconds)}`),
    h("span", {}, stack.runs ? ", has the processor" : ", waits"),
    stack.job !== null && stack.who && h("span", { class: "note" }, ` (${stack.who})`));
}

function name(stack) {
  return stack.job === null ? stack.who : `job ${stack.job}`;
}

/** A frame as a traceback has it, so that it can be pasted where one is understood. */
function lines({ file, line, function: called, code }) {
  return `File "${file}", line ${line ?? "?"}, in ${called}${code ? `\n  ${code}` : ""}`;
}
