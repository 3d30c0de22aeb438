//! What a tree must keep to, each rule a function that says what breaks it.

use crate::tree::{Import, Place, Tree};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A file has at most this many lines without its tests, and a function this many.
const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 60;

/// The kinds of address in `std::net` that are values and no sockets.
const ADDRESSES: [&str; 7] = [
    "AddrParseError",
    "IpAddr",
    "Ipv4Addr",
    "Ipv6Addr",
    "SocketAddr",
    "SocketAddrV4",
    "SocketAddrV6",
];

/// What a page says of a tree.
pub(crate) struct Page {
    /// The modules from the top down, and what each may import.
    pub(crate) modules: Vec<(String, Vec<String>)>,
    /// Where sockets may be touched, the time be read, and code be unsafe.
    pub(crate) sockets: Vec<String>,
    /// See `sockets`.
    pub(crate) clock: Vec<String>,
    /// See `sockets`.
    pub(crate) unsafe_code: Vec<String>,
}

impl Page {
    /// The row that a file belongs to: that of the innermost module that has one.
    fn module_of(&self, file: &str) -> Option<&str> {
        let rows = self.modules.iter().map(|(module, _)| module.as_str());
        rows.filter(|module| is_within(file, module)).max_by_key(|module| module.len())
    }
}

/// Whether a file is the module of this name, or belongs to it.
fn is_within(file: &str, module: &str) -> bool {
    let path = file.trim_end_matches(".rs");
    path == module || path.strip_prefix(module).is_some_and(|rest| rest.starts_with('/'))
}

/// Arrows that the page does not draw, run up, or are drawn and not there.
pub(crate) fn arrows(tree: &Tree, page: &Page) -> Vec<String> {
    let mut broken = Vec::new();
    let mut used = BTreeSet::new();
    for (file, _) in tree.files().filter(|(file, _)| *file != "lib.rs") {
        if page.module_of(file).is_none() {
            broken.push(format!("{file}: the page has no row for it"));
        }
    }
    for Import { place, from } in tree.imports() {
        let (Some(above), Some(below)) = (page.module_of(&place.file), page.module_of(&from))
        else {
            continue;
        };
        if above == below {
            continue;
        }
        used.insert((above.to_owned(), below.to_owned()));
        let row = page.modules.iter().find(|(module, _)| module == above);
        if row.is_none_or(|(_, imports)| !imports.iter().any(|import| import == below)) {
            broken.push(format!("{}: `{above}` may not import `{below}`", shown(&place)));
        }
    }
    for (number, (module, imports)) in page.modules.iter().enumerate() {
        for import in imports {
            if !page.modules[number + 1..].iter().any(|(lower, _)| lower == import) {
                broken.push(format!("the page: `{module}` -> `{import}` does not run down"));
            } else if !used.contains(&(module.clone(), import.clone())) {
                broken.push(format!("the page: `{module}` does not import `{import}`"));
            }
        }
        if !tree.files().any(|(file, _)| page.module_of(file) == Some(module)) {
            broken.push(format!("the page: there is no `{module}`"));
        }
    }
    broken
}

/// Circles of files that import each other.
pub(crate) fn circles(tree: &Tree) -> Vec<String> {
    let mut graph: BTreeMap<String, BTreeMap<String, Place>> = BTreeMap::new();
    for Import { place, from } in tree.imports() {
        graph.entry(place.file.clone()).or_default().insert(from, place);
    }
    let mut broken = Vec::new();
    while let Some(circle) = shortest_circle(&graph) {
        let arrow =
            |pair: &[String]| format!("{} takes {}", shown(&graph[&pair[0]][&pair[1]]), pair[1]);
        let arrows: Vec<String> = circle.windows(2).map(arrow).collect();
        broken.push(format!("a circle: {}", arrows.join(", ")));
        graph.get_mut(&circle[0]).and_then(|imports| imports.remove(&circle[1]));
    }
    broken
}

type Graph = BTreeMap<String, BTreeMap<String, Place>>;

/// The files of a shortest circle, the first one again at the end.
fn shortest_circle(graph: &Graph) -> Option<Vec<String>> {
    let ways = graph.iter().flat_map(|(file, imports)| {
        imports.keys().filter_map(move |from| {
            let mut circle = vec![file.clone()];
            circle.extend(way(graph, from, file)?);
            Some(circle)
        })
    });
    ways.min_by_key(Vec::len)
}

/// The shortest way from one file to another, along what each imports.
fn way(graph: &Graph, start: &str, end: &str) -> Option<Vec<String>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut waiting = VecDeque::from([start]);
    while let Some(file) = waiting.pop_front() {
        if file == end {
            let back = std::iter::successors(Some(file), |file| came_from.get(file).copied());
            let mut way: Vec<String> = back.map(str::to_owned).collect();
            way.reverse();
            return Some(way);
        }
        for next in graph.get(file).into_iter().flat_map(BTreeMap::keys) {
            if next != start && !came_from.contains_key(next.as_str()) {
                came_from.insert(next, file);
                waiting.push_back(next);
            }
        }
    }
    None
}

/// Sockets, time and unsafe code where the page does not allow them, and permission that nothing
/// needs.
pub(crate) fn places(tree: &Tree, page: &Page) -> Vec<String> {
    let sockets = tree.foreign(is_socket);
    let unsafe_code: Vec<Place> = tree.unsafe_code().cloned().collect();
    [
        permitted("sockets", &sockets, &page.sockets),
        permitted("the time", &tree.clock_reads(), &page.clock),
        permitted("unsafe code", &unsafe_code, &page.unsafe_code),
    ]
    .concat()
}

fn permitted(what: &str, found: &[Place], allowed: &[String]) -> Vec<String> {
    let is_in =
        |place: &Place, module: &String| is_within(&place.file, module.trim_end_matches(".rs"));
    let strays = found.iter().filter(|place| !allowed.iter().any(|module| is_in(place, module)));
    let mut broken: Vec<String> =
        strays.map(|place| format!("{}: no place for {what}", shown(place))).collect();
    let idle = allowed.iter().filter(|module| !found.iter().any(|place| is_in(place, module)));
    broken.extend(idle.map(|module| format!("the page: `{module}` has no use for {what}")));
    broken
}

/// Whether a path of another crate leads to a socket, or to what waits for one.
fn is_socket(path: &str) -> bool {
    let mut segments = path.split("::");
    match (segments.next(), segments.next(), segments.next()) {
        (Some("mio" | "signal_hook_mio" | "socket2"), _, _) => true,
        (Some("std"), Some("net"), item) => !item.is_some_and(|item| ADDRESSES.contains(&item)),
        (Some("std"), Some("os"), Some(_)) => path.split("::").nth(3) == Some("net"),
        _ => false,
    }
}

/// Files and functions that are too long.
pub(crate) fn lengths(tree: &Tree) -> Vec<String> {
    let files = tree.files().filter(|(_, lines)| *lines > FILE_LINES);
    let files = files.map(|(file, lines)| format!("{file}: {lines} lines, at most {FILE_LINES}"));
    let functions = tree.functions().filter(|(_, lines)| *lines > FUNCTION_LINES);
    let functions = functions
        .map(|(place, lines)| format!("{}: {lines} lines, at most {FUNCTION_LINES}", shown(place)));
    files.chain(functions).collect()
}

fn shown(place: &Place) -> String {
    format!("{}:{}: {}", place.file, place.line, place.what)
}
