import { type CommandSpec } from "./command.js";
export declare const commands: readonly CommandSpec[];
