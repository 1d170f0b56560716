/** What carom uses of jstat, which brings no types. */

declare module "jstat" {
  const jstat: {
    readonly normal: {
      /** The part of a normal distribution at or below a value. */
      cdf(value: number, mean: number, deviation: number): number;
    };
    readonly studentt: {
      /** The part of Student's t distribution at or below a value. */
      cdf(value: number, freedom: number): number;
    };
  };
  export default jstat;
}
