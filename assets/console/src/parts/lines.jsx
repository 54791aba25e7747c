// Facts with their names, line by line; those that nothing is known of are left out.
export function Lines({ facts }) {
  return (
    <dl class="lines">
      {facts
        .filter(([, value]) => value !== null && value !== undefined && value !== 0)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}
