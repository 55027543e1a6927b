// Running means, so that noisy curves show where they go.

/** The mean of `steps` values around each value, of fewer at both ends. */
const smoothed = (values, steps) =>
  values.map((_, at) => {
    const around = values.slice(Math.max(0, at - Math.floor((steps - 1) / 2)), at + Math.floor(steps / 2) + 1);
    return around.reduce((sum, value) => sum + value, 0) / around.length;
  });

/** A curve as it is for one step; for more its mean above the pale curve itself. */
const withMean = (curve, steps) => {
  if (!curve.smooth || steps <= 1 || curve.x.length <= steps) return [curve];
  const mean = { ...curve, y: smoothed(curve.y, steps) };
  return [{ ...curve, opacity: 0.28, hoverinfo: "skip", line: { ...curve.line, width: 1 } }, mean];
};
