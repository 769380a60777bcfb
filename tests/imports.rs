//! What the files of `src/` import: no file that imports them, and only modules below their own in the list of `src/lib.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The path of a module from the crate: `graph`, `axis`.
type Module = Vec<String>;

/// The uses of a module, whether they are public, and the code without them.
type Uses = (Vec<(bool, Vec<String>)>, String);

/// The code of each module, without comments, and without the tests at its end.
fn read(folder: &Path, path: &[String], modules: &mut BTreeMap<Module, String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        let name = entry.file_stem().expect("a name").to_string_lossy().into_owned();
        let inner = [path, std::slice::from_ref(&name)].concat();
        if entry.is_dir() {
            read(&entry, &inner, modules);
        } else if entry.extension().is_some_and(|extension| extension == "rs") && name != "main" {
            let text = std::fs::read_to_string(&entry).expect("a file");
            let lines = text.lines().take_while(|line| !line.starts_with("mod tests {"));
            let code: Vec<&str> = lines.map(|line| line.split("//").next().unwrap_or_default()).collect();
            let code = code.join("\n").replace("pub(in crate::", "pub(").replace("pub(in super::super)", "pub");
            modules.insert(if name == "mod" || name == "lib" { path.to_vec() } else { inner }, code);
        }
    }
}

/// The paths of a declaration, `a::{b, c::d};`.
fn paths(declaration: &str) -> Vec<Vec<String>> {
    let (mut found, mut prefixes, mut path) = (Vec::new(), Vec::new(), Vec::new());
    let spaced = declaration.replace("::", " ").replace('{', " { ").replace(['}', ';'], " } ").replace(',', " , ");
    for part in spaced.split_whitespace() {
        match part {
            "{" => prefixes.push(std::mem::take(&mut path)),
            "," | "}" => {
                if !path.is_empty() {
                    let own = path.drain(..).take_while(|part| part != "as").filter(|part| part != "self");
                    found.push([prefixes.concat(), own.collect()].concat());
                }
                if part == "}" {
                    prefixes.pop();
                }
            }
            part => path.push(part.to_string()),
        }
    }
    found
}

/// Separates the uses of a module from its code.
fn uses(code: &str) -> Uses {
    let (mut found, mut rest) = (Vec::new(), String::new());
    for statement in code.split_inclusive(';') {
        let is_use = |line: &&str| line.starts_with("use ") || (line.starts_with("pub") && line.contains(" use "));
        let declared = statement.lines().map(str::trim).find(is_use);
        let Some(start) = declared.and_then(|line| statement.find(line)) else {
            let last = statement.lines().last().unwrap_or_default();
            rest.push_str(if last.contains("mod ") && last.ends_with(';') { "" } else { statement });
            continue;
        };
        let (before, declaration) = statement.split_at(start);
        rest.push_str(before);
        let tree = declaration.split_once("use ").map_or("", |(_, tree)| tree);
        found.extend(paths(tree).into_iter().map(|path| (declaration.starts_with("pub"), path)));
    }
    (found, rest)
}

/// The files that each file imports; a re-export leads to the file that has the item.
fn imports(modules: &BTreeMap<Module, String>) -> BTreeMap<&Module, BTreeSet<&Module>> {
    // From the crate; none for other crates.
    let absolute = |module: &Module, path: &[String]| {
        let ups = path.iter().take_while(|part| *part == "super").count();
        let own =
            path.first().is_some_and(|name| modules.contains_key(&[&module[..], std::slice::from_ref(name)].concat()));
        match path.first()?.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "super" => Some([module.get(..module.len().checked_sub(ups)?)?, &path[ups..]].concat()),
            "self" => Some([&module[..], &path[1..]].concat()),
            _ => own.then(|| [&module[..], path].concat()),
        }
    };
    let parsed: Vec<_> = modules.iter().map(|(module, code)| (module, uses(code))).collect();
    let mut exported = BTreeMap::new();
    for (module, (uses, _)) in &parsed {
        for (_, path) in uses.iter().filter(|(public, _)| *public) {
            if let Some((item, path)) = path.last().zip(absolute(module, path)) {
                exported.insert([&module[..], std::slice::from_ref(item)].concat(), path);
            }
        }
    }
    let file = |mut path: Vec<String>| {
        for _ in 0..8 {
            let known =
                (0..=path.len()).rev().find_map(|end| modules.get_key_value(&path[..end]).map(|(file, _)| file))?;
            match path.get(..=known.len()).and_then(|item| exported.get(item)) {
                Some(from) => path = [from, &path[known.len() + 1..]].concat(),
                None => return Some(known),
            }
        }
        None
    };
    let imported = |(module, (uses, rest)): &(&Module, Uses)| {
        let words: BTreeSet<&str> = rest.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let read =
            uses.iter().filter(|(public, path)| !public || path.last().is_some_and(|item| words.contains(&**item)));
        let inline = rest.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
        let inline = inline.filter(|path| path.starts_with(|c: char| c.is_lowercase()) && path.contains("::"));
        let inline = inline.map(|path| path.split("::").map(String::from).collect());
        let all = read.map(|(_, path)| path.clone()).chain(inline);
        all.filter_map(|path: Vec<String>| file(absolute(module, &path)?)).filter(|file| file != module).collect()
    };
    parsed.iter().map(|one| (one.0, imported(one))).collect()
}

/// Follows imports from a file; returns the files of a circle.
fn circle<'m>(
    file: &'m Module,
    imports: &BTreeMap<&'m Module, BTreeSet<&'m Module>>,
    open: &mut Vec<&'m Module>,
    done: &mut BTreeSet<&'m Module>,
) -> Option<Vec<String>> {
    if let Some(at) = open.iter().position(|one| *one == file) {
        return Some(open[at..].iter().map(|one| one.join("::")).collect());
    }
    if !done.insert(file) {
        return None;
    }
    open.push(file);
    let found = imports[file].iter().find_map(|next| circle(next, imports, open, done));
    open.pop();
    found
}

#[test]
fn files_import_only_what_is_below_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules = BTreeMap::new();
    read(&root, &[], &mut modules);
    let imports = imports(&modules);
    // So many are read at least: a test that reads nothing finds no circle.
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 2_000);
    let mut done = BTreeSet::new();
    for file in imports.keys() {
        assert_eq!(circle(file, &imports, &mut Vec::new(), &mut done), None, "these files import each other");
    }
    let text = std::fs::read_to_string(root.join("lib.rs")).expect("lib.rs");
    let list = text.split_once("only modules below it").and_then(|(_, rest)| rest.split_once('.')).expect("a list").0;
    let order: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
    let rank = |file: &Module| order.iter().position(|module| Some(*module) == file.first().map(String::as_str));
    for (file, imported) in imports.iter().filter(|(file, _)| !file.is_empty()) {
        assert!(rank(file).is_some(), "`{}` is not in the list of src/lib.rs", file[0]);
        for other in imported.iter().filter(|other| !other.is_empty()) {
            assert!(rank(file) <= rank(other), "{} imports {}, which is above it", file.join("::"), other.join("::"));
        }
    }
}
