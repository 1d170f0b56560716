import type { LimitReport } from "./limit_report.js";
export function limitSvg(_: LimitReport): string { return ""; }
