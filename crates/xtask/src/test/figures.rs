//! Reads out of what a suite printed how much it did, where the number of its tests says little.

/// Reads a line of figures out of all that a suite printed, if it came so far.
pub(crate) type Figures = fn(&str) -> Option<String>;

/// The schedules of every scenario, and those scenarios that have more schedules than there was
/// time for. Each scenario prints a line, `NAME: 12 executions`, perhaps `, and there are more`.
pub(super) fn schedules(output: &str) -> Option<String> {
    let told: Vec<_> = output.lines().filter_map(scenario).collect();
    let sum: u64 = told.iter().map(|&(_, number, _)| number).sum();
    let (_, _, unit) = told.first()?;
    let unit = unit.trim_end_matches(MORE);
    let mut text = format!("{} scenarios, {sum} {unit}", told.len());
    let partly: Vec<_> = told.iter().filter(|(_, _, unit)| unit.ends_with(MORE)).collect();
    if !partly.is_empty() {
        let names: Vec<_> = partly.iter().map(|&&(name, ..)| name).collect();
        text += &format!("; there are more in {}: {}", partly.len(), names.join(", "));
    }
    Some(text)
}

const MORE: &str = ", and there are more";

/// Splits `NAME: 12 executions...` into its name, its number and what follows. The name of the test
/// may stand before it.
fn scenario(line: &str) -> Option<(&str, u64, &str)> {
    let (name, rest) = line.split_once(": ")?;
    let (number, unit) = rest.split_once(' ')?;
    let is_told = ["executions", "schedules", "rounds"].iter().any(|word| unit.starts_with(word));
    Some((name.rsplit(' ').next()?, number.parse().ok()?, unit)).filter(|_| is_told)
}

/// The rows of the table of the bugs: one for each test that caught one.
pub(super) fn bugs(output: &str) -> Option<String> {
    let rows = output.lines().skip_while(|line| !line.starts_with("|---"));
    let rows: Vec<_> = rows.skip(1).take_while(|line| line.starts_with('|')).collect();
    let bugs = rows.iter().filter(|row| !row.starts_with("|  |")).count();
    (bugs > 0).then(|| format!("{bugs} bugs, each put back for {} tests in all", rows.len()))
}

/// How often the fuzz targets ran.
pub(super) fn fuzzed(output: &str) -> Option<String> {
    let runs: Vec<_> = output.lines().filter_map(|line| line.strip_prefix("Done ")).collect();
    (!runs.is_empty()).then(|| runs.join(", "))
}

/// The schedules that were simulated in JavaScript, and what was done in them.
pub(super) fn simulated(output: &str) -> Option<String> {
    let line = output.lines().rev().find(|line| line.contains(" schedules, "))?;
    Some(line.to_owned())
}

/// The SDKs and endings that were tried, and after how many a slot was still in use.
pub(super) fn sdks(output: &str) -> Option<String> {
    let line = output.lines().rev().find(|line| line.contains(" SDKs, "))?;
    Some(line.to_owned())
}

/// What LLMock has judged: the calls and attempts that it saw, the faults that it put in, and what it
/// found wrong.
pub(super) fn verdicts(output: &str) -> Option<String> {
    let verdicts = output.lines().filter_map(|line| line.split_once("LLMock resilience verdict: "));
    let mut sums = [0_u64; 3];
    for (_, verdict) in verdicts {
        let words = verdict.split(", ").map(|part| part.split(' ').next()?.parse::<u64>().ok());
        sums.iter_mut().zip(words).for_each(|(sum, number)| *sum += number.unwrap_or_default());
    }
    let found = ["  FAIL  ", "  WARN  "].map(|mark| output.matches(mark).count());
    let [calls, attempts, faults] = sums;
    (calls > 0).then(|| {
        let [errors, warnings] = found;
        format!(
            "LLMock: {calls} calls, {attempts} attempts, {faults} faults; {errors} errors and \
             {warnings} warnings"
        )
    })
}

/// What tenants read under each way of keeping them apart, and how much of it was another's: lines
/// such as `isolation Rows: 20000 reads in 9 s, 0 foreign, ...`, the name of the test perhaps before.
pub(super) fn isolation(output: &str) -> Option<String> {
    let mut told = [0_u64; 3];
    for (_, line) in output.lines().filter_map(|line| line.split_once("isolation ")) {
        let (_, numbers) = line.split_once(": ")?;
        let mut numbers = numbers.split(", ").map(|part| part.split(' ').next()?.parse().ok());
        let sums = [Some(1), numbers.next()?, numbers.next()?];
        told.iter_mut().zip(sums).for_each(|(sum, number)| *sum += number.unwrap_or_default());
    }
    let [ways, reads, foreign] = told;
    (ways > 0).then(|| format!("{reads} reads in {ways} ways, {foreign} of them foreign"))
}

/// Why the suite cannot run here, if it says so: `skipped: REASON`.
pub(super) fn skipped(output: &str) -> Option<String> {
    let line = output.lines().find(|line| line.starts_with("skipped: "))?;
    Some(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_added_up_and_what_is_left_is_named() {
        let all = "running 2 tests\na: 12 executions\ntest b_1 ... b_1: 30 executions\nok\n";
        assert_eq!(schedules(all).unwrap(), "2 scenarios, 42 executions");
        let more = format!("c: 8 executions, and there are more\n{all}");
        let text = "3 scenarios, 50 executions; there are more in 1: c";
        assert_eq!(schedules(&more).unwrap(), text);
        assert_eq!(schedules("error: 3 things are wrong"), None);
    }

    #[test]
    fn bugs_and_runs_are_counted() {
        let table = "\n| bug | by |\n|---|---|\n| A | x |\n|  | y |\n| B | x |\n\n2 passed";
        assert_eq!(bugs(table).unwrap(), "2 bugs, each put back for 3 tests in all");
        assert_eq!(bugs("error"), None);
        assert_eq!(skipped("ok    a\n1 passed, 0 failed"), None);
        let reason = "skipped: no program for it";
        assert_eq!(skipped(&format!("{reason}\n0 passed")).as_deref(), Some(reason));
        assert_eq!(fuzzed("x\nDone 7 runs in 3 second(s)\n").unwrap(), "7 runs in 3 second(s)");
        let both = fuzzed("Done 7 runs in 3 second(s)\nDone 8 runs in 4 second(s)\n");
        assert_eq!(both.unwrap(), "7 runs in 3 second(s), 8 runs in 4 second(s)");
        let tried = sdks("x\n8 SDKs, 9 endings, 0 with a slot in use\n9 passed, 0 failed\n");
        assert_eq!(tried.unwrap(), "8 SDKs, 9 endings, 0 with a slot in use");
        let verdict = "LLMock resilience verdict: 2 call(s), 3 attempt(s), 1 fault(s) injected";
        let all = format!("test a ... {verdict}\n\n  PASS  fine\n{verdict}\n\n  WARN  x\n");
        let text = "LLMock: 4 calls, 6 attempts, 2 faults; 0 errors and 1 warnings";
        assert_eq!(verdicts(&all).unwrap(), text);
        assert_eq!(verdicts("error"), None);
        let rows = "test a ... isolation Rows: 20 reads in 9 s, 0 foreign, 3 failures";
        let both =
            isolation(&format!("x\n{rows}\nisolation Schemas: 5 reads in 1 s, 1 foreign, x"));
        assert_eq!(both.unwrap(), "25 reads in 2 ways, 1 of them foreign");
        assert_eq!(isolation("error"), None);
        let simulated = simulated("x\n7 schedules, 90 steps in 2 s\n7 passed, 0 failed\n");
        assert_eq!(simulated.unwrap(), "7 schedules, 90 steps in 2 s");
    }
}
