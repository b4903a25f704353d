//! Which paths of a drive a policy wants: what it includes, what it leaves out, and what only leads to something wanted.
//!
//! A path pattern is a row of names from the drive's root. `*` stands for any part of a name, `?` for one letter of it,
//! and `**` as a name for any number of names. Whoever names a folder means all that is below it; letter case does not
//! matter. What is both included and left out is left out.

use super::facets::half;
use crate::features::OneDriveOptions;

/// Names of one pattern: a bit of a [`Reached`] each.
const NAMES_MAX: usize = 100;
const ANY_DEPTH: &str = "**";

/// How many names of a pattern a path may have met so far: bit `n` for the first `n` of them.
type Reached = u128;

#[derive(Debug)]
pub(super) struct Rules {
    /// Empty: everything.
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

/// Names in lower case.
#[derive(Debug)]
struct Pattern(Vec<String>);

/// Where a folder or a file stands among the rules. Enough to tell where what is below it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    included: bool,
    left_out: bool,
    include: Vec<Reached>,
    exclude: Vec<Reached>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Wanted,
    /// A folder that is kept because something below it may be wanted.
    Leads,
    LeftOut,
}

impl Rules {
    /// `None`: the policy wants everything, wherever it is.
    pub fn of(options: &OneDriveOptions) -> Option<Self> {
        let read = |texts: &[String]| texts.iter().filter_map(|text| Pattern::read(text).ok()).collect::<Vec<_>>();
        let (include, exclude) = (read(&options.include_paths), read(&options.exclude_paths));
        (!include.is_empty() || !exclude.is_empty()).then_some(Self { include, exclude })
    }

    /// Where the root of the drive stands.
    pub fn root(&self) -> Standing {
        let begin = |patterns: &[Pattern]| patterns.iter().map(Pattern::begin).collect();
        let (include, exclude) = (begin(&self.include), begin(&self.exclude));
        self.judged(Standing { included: self.include.is_empty(), left_out: false, include, exclude })
    }

    /// Where what is called so stands in a folder.
    pub fn below(&self, above: &Standing, name: &str) -> Standing {
        let name = name.to_lowercase();
        let step = |patterns: &[Pattern], reached: &[Reached]| -> Vec<Reached> {
            patterns.iter().zip(reached).map(|(pattern, reached)| pattern.step(*reached, &name)).collect()
        };
        let include = if above.included { Vec::new() } else { step(&self.include, &above.include) };
        let exclude = step(&self.exclude, &above.exclude);
        self.judged(Standing { include, exclude, ..*above })
    }

    fn judged(&self, standing: Standing) -> Standing {
        let met = |patterns: &[Pattern], reached: &[Reached]| {
            patterns.iter().zip(reached).any(|(pattern, reached)| reached & pattern.end() != 0)
        };
        let included = standing.included || met(&self.include, &standing.include);
        let left_out = standing.left_out || met(&self.exclude, &standing.exclude);
        // Where all is included it does not matter any more how far the patterns were met.
        let include = if included { Vec::new() } else { standing.include };
        Standing { included, left_out, include, exclude: standing.exclude }
    }
}

impl Standing {
    pub fn verdict(&self) -> Verdict {
        let leads = self.include.iter().any(|reached| *reached != 0);
        match (self.left_out, self.included) {
            (true, _) => Verdict::LeftOut,
            (false, true) => Verdict::Wanted,
            (false, false) if leads => Verdict::Leads,
            (false, false) => Verdict::LeftOut,
        }
    }

    /// What tells folders apart below which other things are wanted; `None`: all that is below is wanted.
    pub fn mark(&self) -> Option<String> {
        let whole = self.included && !self.left_out && self.exclude.iter().all(|reached| *reached == 0);
        (!whole).then(|| format!("{:08x}", half(&format!("{self:?}"))))
    }
}

impl Pattern {
    fn read(text: &str) -> Result<Self, String> {
        let names = text.split(['/', '\\']).map(str::trim).filter(|name| !name.is_empty());
        let names: Vec<String> = names.map(str::to_lowercase).collect();
        match names.len() {
            0 => Err(format!("\"{text}\" names no folder: give a path from the root, such as Documents/Projects")),
            1..=NAMES_MAX => Ok(Self(names)),
            n => Err(format!("a path has at most {NAMES_MAX} names, and one of them has {n}")),
        }
    }

    fn begin(&self) -> Reached {
        self.passing(1)
    }

    /// The bit of a pattern that was met as a whole.
    fn end(&self) -> Reached {
        1 << self.0.len()
    }

    fn step(&self, reached: Reached, name: &str) -> Reached {
        let next = self.0.iter().enumerate().filter(|(n, _)| reached & (1 << n) != 0).fold(0, |next, (n, wanted)| {
            if wanted == ANY_DEPTH {
                next | (1 << n)
            } else if is_like(wanted, name) {
                next | (1 << (n + 1))
            } else {
                next
            }
        });
        self.passing(next)
    }

    /// Any number of names may be none.
    fn passing(&self, reached: Reached) -> Reached {
        self.0.iter().enumerate().fold(reached, |reached, (n, wanted)| {
            let passes = wanted == ANY_DEPTH && reached & (1 << n) != 0;
            if passes { reached | (1 << (n + 1)) } else { reached }
        })
    }
}

/// Whether a path of the options can be meant.
pub(in crate::features) fn check(text: &str) -> Result<(), String> {
    Pattern::read(text).map(drop)
}

/// Whether a name is what a pattern with `*` and `?` describes.
fn is_like(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where to go on when what follows the last star does not fit: the star takes one letter more.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p, n));
                p += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == name[n] => (p, n) = (p + 1, n + 1),
            Some(_) | None => {
                let Some((star, taken)) = retry else { return false };
                retry = Some((star, taken + 1));
                (p, n) = (star + 1, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Leads, LeftOut, Wanted};
    use super::*;

    fn rules(include: &[&str], exclude: &[&str]) -> Rules {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let options = OneDriveOptions {
            include_paths: texts(include),
            exclude_paths: texts(exclude),
            ..OneDriveOptions::default()
        };
        Rules::of(&options).unwrap()
    }

    fn standing(rules: &Rules, path: &str) -> Standing {
        let names = path.split('/').filter(|name| !name.is_empty());
        names.fold(rules.root(), |above, name| rules.below(&above, name))
    }

    #[test]
    fn a_folder_means_all_that_is_below_it_and_letter_case_does_not_matter() {
        let rules = rules(&["Documents/Projects", "\\Pictures\\"], &["/documents/projects/ÜBUNG/"]);

        for (path, verdict) in [
            ("", Leads),
            ("Documents", Leads),
            ("Documents/plan.txt", LeftOut),
            ("DOCUMENTS/projects", Wanted),
            ("Documents/Projects/a/b/c.txt", Wanted),
            ("Documents/Projects 2", LeftOut),
            ("Documents/Projects/Übung", LeftOut),
            ("Documents/Projects/Übung/a.txt", LeftOut),
            ("Pictures/a.png", Wanted),
            ("Music", LeftOut),
        ] {
            assert_eq!(standing(&rules, path).verdict(), verdict, "{path}");
        }
    }

    #[test]
    fn stars_stand_for_parts_of_a_name_and_double_stars_for_names() {
        let rules = rules(&[], &["**/node_modules", "Temp*", "Archive/20??/**/*.tmp"]);

        for (path, verdict) in [
            ("a", Wanted),
            ("node_modules", LeftOut),
            ("a/b/node_modules/c.js", LeftOut),
            ("a/node_modules2", Wanted),
            ("Temporary", LeftOut),
            ("a/Temporary", Wanted),
            ("Archive/2024/x.tmp", LeftOut),
            ("Archive/2024/a/b/x.tmp", LeftOut),
            ("Archive/24/x.tmp", Wanted),
            ("Archive/2024/x.tmp.txt", Wanted),
        ] {
            assert_eq!(standing(&rules, path).verdict(), verdict, "{path}");
        }
    }

    #[test]
    fn names_with_brackets_and_braces_stand_for_themselves() {
        let rules = rules(&["Old [2019]/{a}"], &[]);

        assert_eq!(standing(&rules, "Old [2019]/{a}").verdict(), Wanted);
        assert_eq!(standing(&rules, "Old 2/a").verdict(), LeftOut);
    }

    #[test]
    fn a_star_takes_as_much_as_the_rest_leaves() {
        for (pattern, name, like) in [
            ("*", "", true),
            ("a*b*c", "aXbbc", true),
            ("a*b*c", "aXbbd", false),
            ("*.docx", "a.docx.docx", true),
            ("?", "", false),
            ("a**", "a", true),
        ] {
            assert_eq!(is_like(pattern, name), like, "{pattern} {name}");
        }
    }

    #[test]
    fn folders_are_told_apart_where_other_things_are_wanted_below() {
        let rules = rules(&["A", "B"], &["A/tmp"]);
        let mark = |path: &str| standing(&rules, path).mark();

        assert_eq!(mark("B"), None, "all below is wanted");
        assert_eq!(mark("A/else"), None);
        assert!(mark("A").is_some() && mark("A") != mark(""));
        assert_eq!(mark("B"), mark("B/deep/below"));
    }

    #[test]
    fn a_path_that_names_nothing_or_too_much_is_refused() {
        assert!(check("Documents").is_ok());
        for bad in ["", "/", " // ", &"a/".repeat(101)] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
