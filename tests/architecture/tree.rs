//! A tree of sources, read: which file takes what from which, and where things stand. Code that is
//! compiled for tests only is left out.

use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, Meta, UseTree, Visibility};

/// How often a name may lead to another before it is called lost.
const DETOURS: usize = 16;

/// The segments of a path.
pub(crate) type Segments = Vec<String>;

/// Something at a line of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The file, relative to `src`.
    pub(crate) file: String,
    /// Its line, counted from one.
    pub(crate) line: usize,
    /// What stands there.
    pub(crate) what: String,
}

/// One file takes something from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Import {
    /// Who takes it, where, and by which path.
    pub(crate) place: Place,
    /// The file in which that is defined.
    pub(crate) from: String,
}

/// All files below one `src`.
pub(crate) struct Tree {
    files: BTreeMap<String, Source>,
    /// The file of each module; the root is the empty path.
    modules: BTreeMap<Segments, String>,
}

/// One file.
#[derive(Default)]
struct Source {
    module: Segments,
    lines: usize,
    /// What is defined in it, but for its modules.
    items: BTreeSet<String>,
    /// What its `use` declarations call by which name.
    names: BTreeMap<String, Segments>,
    /// The modules all of whose names it takes over.
    globs: Vec<Segments>,
    /// Every path of its code, and of those `use` declarations that hand nothing on.
    paths: Vec<(Segments, usize)>,
    functions: Vec<(Place, usize)>,
    unsafe_code: Vec<Place>,
    clock_reads: Vec<Place>,
}

impl Tree {
    /// Reads the files below `directory`.
    pub(crate) fn read(directory: &Path) -> Self {
        let mut texts = Vec::new();
        let mut directories = vec![directory.to_path_buf()];
        while let Some(next) = directories.pop() {
            for entry in std::fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let name = path.strip_prefix(directory).unwrap().display().to_string();
                    texts.push((name, std::fs::read_to_string(&path).unwrap()));
                }
            }
        }
        Self::parse(texts.iter().map(|(name, text)| (name.as_str(), text.as_str())))
    }

    /// Reads files that are given by name and text.
    pub(crate) fn parse<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut tree = Self { files: BTreeMap::new(), modules: BTreeMap::new() };
        let mut for_tests = Vec::new();
        for (name, text) in texts {
            let module = module_of(name);
            let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let mut reader = Reader::new(name, &module);
            reader.visit_file(&parsed);
            reader.source.lines = text.lines().count() - reader.test_lines;
            for_tests.append(&mut reader.test_modules);
            tree.modules.insert(module, name.to_owned());
            tree.files.insert(name.to_owned(), reader.source);
        }
        let tested = |module: &Segments| for_tests.iter().any(|test| module.starts_with(test));
        tree.files.retain(|_, source| !tested(&source.module));
        tree.modules.retain(|module, _| !tested(module));
        tree
    }

    /// The files, and how many lines each has.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, usize)> {
        self.files.iter().map(|(name, source)| (name.as_str(), source.lines))
    }

    /// The functions, and how many lines each has.
    pub(crate) fn functions(&self) -> impl Iterator<Item = &(Place, usize)> {
        self.files.values().flat_map(|source| &source.functions)
    }

    /// Where code is unsafe, or a lint lets it be.
    pub(crate) fn unsafe_code(&self) -> impl Iterator<Item = &Place> {
        self.files.values().flat_map(|source| &source.unsafe_code)
    }

    /// Where the time is read.
    pub(crate) fn clock_reads(&self) -> Vec<Place> {
        let reads = ["std::time::Instant::now", "std::time::SystemTime::now"];
        let mut found = self.foreign(|path| reads.contains(&path));
        found.extend(self.files.values().flat_map(|source| source.clock_reads.iter().cloned()));
        found
    }

    /// Where paths that lead out of the tree are such as `wanted` knows them.
    pub(crate) fn foreign(&self, wanted: impl Fn(&str) -> bool) -> Vec<Place> {
        let mut found = BTreeSet::new();
        for (file, source) in &self.files {
            for (path, line) in &source.paths {
                let Found::Foreign(path) = self.resolve(source, path, DETOURS) else { continue };
                let what = path.join("::");
                if wanted(&what) {
                    found.insert(Place { file: file.clone(), line: *line, what });
                }
            }
        }
        found.into_iter().collect()
    }

    /// What each file takes from which other, the first place of each.
    pub(crate) fn imports(&self) -> Vec<Import> {
        let mut found: BTreeMap<(&str, &str), Place> = BTreeMap::new();
        for (file, source) in &self.files {
            for (path, line) in &source.paths {
                let Found::Item(from) = self.resolve(source, path, DETOURS) else { continue };
                if from != file {
                    let what = path.join("::");
                    let place = || Place { file: file.clone(), line: *line, what };
                    found.entry((file, from)).or_insert_with(place);
                }
            }
        }
        let import =
            |((_, from), place): ((&str, &str), Place)| Import { place, from: from.to_owned() };
        found.into_iter().map(import).collect()
    }

    /// What a path in `source` means.
    fn resolve(&self, source: &Source, path: &[String], detours: usize) -> Found<'_> {
        let (first, rest) = path.split_first().unwrap();
        let here = &source.module;
        if detours == 0 {
            return Found::Foreign(path.to_vec());
        }
        match first.as_str() {
            "crate" | "websocksy" => return self.find(&[], rest, detours),
            "self" => return self.find(here, rest, detours),
            "super" => return self.resolve_above(here, rest, detours),
            _ => {}
        }
        if let Some(meant) = source.names.get(first) {
            let meant = [meant, rest].concat();
            // `use mio::net` and `use log` call things what they are called.
            return if meant == path {
                Found::Foreign(meant)
            } else {
                self.resolve(source, &meant, detours - 1)
            };
        }
        let child = [here.as_slice(), std::slice::from_ref(first)].concat();
        if self.modules.contains_key(&child) {
            return self.find(here, path, detours);
        }
        Found::Foreign(path.to_vec())
    }

    fn resolve_above(&self, module: &[String], path: &[String], detours: usize) -> Found<'_> {
        let above = &module[..module.len().saturating_sub(1)];
        match path.split_first() {
            Some((first, rest)) if first == "super" => self.resolve_above(above, rest, detours),
            _ => self.find(above, path, detours),
        }
    }

    /// What `path` means in the module `base`.
    fn find(&self, base: &[String], path: &[String], detours: usize) -> Found<'_> {
        let mut module = base.to_vec();
        let mut rest = path;
        while let Some((first, others)) = rest.split_first() {
            module.push(first.clone());
            if !self.modules.contains_key(&module) {
                module.pop();
                break;
            }
            rest = others;
        }
        let Some(file) = self.modules.get(&module) else { return Found::Foreign(path.to_vec()) };
        let source = &self.files[file];
        match rest.first() {
            None => Found::Module,
            Some(item) if item == "*" => Found::Item(file),
            Some(item) if source.items.contains(item) => Found::Item(file),
            Some(item) if source.names.contains_key(item) => {
                self.resolve(source, rest, detours - 1)
            }
            Some(_) => self.find_in_globs(source, rest, detours).unwrap_or(Found::Item(file)),
        }
    }

    /// What a name means that a file takes over from elsewhere, with all others.
    fn find_in_globs(&self, source: &Source, rest: &[String], detours: usize) -> Option<Found<'_>> {
        let found = source.globs.iter().map(|glob| {
            self.resolve(source, &[glob.as_slice(), rest].concat(), detours.saturating_sub(1))
        });
        found.into_iter().find(|found| matches!(found, Found::Item(_)))
    }
}

/// What a path means.
enum Found<'a> {
    /// Something that this file defines.
    Item(&'a str),
    /// A module, which is no more than a name: what is taken from it counts.
    Module,
    /// Something of another crate, or a local name.
    Foreign(Segments),
}

/// The module that a file is.
fn module_of(name: &str) -> Segments {
    let path = name.trim_end_matches(".rs");
    let path = path.trim_end_matches("/mod");
    if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

/// Goes through one file.
struct Reader {
    file: String,
    /// The module in which it is now: that of the file, or one that is written out in it.
    module: Segments,
    source: Source,
    test_lines: usize,
    test_modules: Vec<Segments>,
}

impl Reader {
    fn new(file: &str, module: &Segments) -> Self {
        Self {
            file: file.to_owned(),
            module: module.clone(),
            source: Source { module: module.clone(), ..Source::default() },
            test_lines: 0,
            test_modules: Vec::new(),
        }
    }

    fn place(&self, line: usize, what: impl Into<String>) -> Place {
        Place { file: self.file.clone(), line, what: what.into() }
    }

    /// A path, as the file itself would write it, should this be a module written out in it.
    fn path(&mut self, segments: Segments, line: usize) {
        let inner = self.module.len() > self.source.module.len();
        let above = segments.iter().take_while(|segment| *segment == "super").count();
        let path = if inner && above > 0 {
            let base = &self.module[..self.module.len().saturating_sub(above)];
            [&["crate".to_owned()], base, &segments[above..]].concat()
        } else {
            segments
        };
        if !path.is_empty() {
            self.source.paths.push((path, line));
        }
    }

    /// The names of a `use`; what is not handed on is something that the file takes.
    fn name(&mut self, tree: &UseTree, prefix: &Segments, handed_on: bool) {
        let leaf = |reader: &mut Self, last: String, name: String, line| {
            let path = if last == "self" { prefix.clone() } else { join(prefix, last) };
            if !handed_on {
                reader.path(path.clone(), line);
            }
            reader.source.names.insert(name, path);
        };
        match tree {
            UseTree::Path(path) => {
                self.name(&path.tree, &join(prefix, path.ident.to_string()), handed_on);
            }
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.name(tree, prefix, handed_on));
            }
            UseTree::Name(name) => {
                let last = name.ident.to_string();
                let known =
                    if last == "self" { prefix.last().cloned() } else { Some(last.clone()) };
                leaf(self, last, known.unwrap_or_default(), name.span().start().line);
            }
            UseTree::Rename(rename) => {
                let line = rename.span().start().line;
                leaf(self, rename.ident.to_string(), rename.rename.to_string(), line);
            }
            UseTree::Glob(glob) => {
                self.source.globs.push(prefix.clone());
                if !handed_on {
                    self.path(join(prefix, "*".to_owned()), glob.span().start().line);
                }
            }
        }
    }

    /// The paths in what a macro is given.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Segments = Vec::new();
        let mut line = 0;
        let mut before = String::new();
        for token in tokens {
            let text = match &token {
                TokenTree::Group(group) => {
                    self.tokens(group.stream());
                    String::new()
                }
                other => other.to_string(),
            };
            if let TokenTree::Ident(ident) = &token {
                if text == "unsafe" {
                    let place = self.place(ident.span().start().line, "unsafe in a macro");
                    self.source.unsafe_code.push(place);
                }
                if before != "::" && !path.is_empty() {
                    let ended = std::mem::take(&mut path);
                    self.path(ended, line);
                }
                line = ident.span().start().line;
                // A field or a method is no path.
                if before != "." {
                    path.push(text.clone());
                }
            } else if !text.starts_with(':') && !path.is_empty() {
                let ended = std::mem::take(&mut path);
                self.path(ended, line);
            }
            before = if before == ":" && text == ":" { "::".to_owned() } else { text };
        }
        if !path.is_empty() {
            self.path(path, line);
        }
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let first = signature.span().start().line;
        let lines = block.span().end().line - first + 1;
        let place = self.place(first, signature.ident.to_string());
        self.source.functions.push((place, lines));
    }

    fn unsafe_signature(&mut self, signature: &syn::Signature) {
        if let syn::Safety::Unsafe(word) = signature.safety {
            let place = self.place(word.span().start().line, "an unsafe function");
            self.source.unsafe_code.push(place);
        }
    }
}

fn join(prefix: &Segments, last: String) -> Segments {
    let mut path = prefix.clone();
    path.push(last);
    path
}

/// Whether this is compiled for tests only.
fn for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => {
            list.path.is_ident("cfg") && list.tokens.to_string().replace(' ', "") == "test"
        }
        Meta::Path(path) => path.is_ident("test"),
        Meta::NameValue(_) => false,
    })
}

/// The name of something that other files can take.
fn defined(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if for_tests(attributes(item)) {
            let span = item.span();
            self.test_lines += span.end().line - span.start().line + 1;
            if let Item::Mod(module) = item {
                self.test_modules.push(join(&self.module, module.ident.to_string()));
            }
            return;
        }
        // What a module that is written out defines is its own, and no other file's to take.
        if self.module == self.source.module {
            self.source.items.extend(defined(item));
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if module.content.is_some() {
            self.source.items.insert(module.ident.to_string());
        }
        self.module.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.module.pop();
    }

    fn visit_item_use(&mut self, declaration: &'ast syn::ItemUse) {
        let handed_on = !matches!(declaration.vis, Visibility::Inherited);
        self.name(&declaration.tree, &Vec::new(), handed_on);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.path(segments, path.span().start().line);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.tokens(called.tokens.clone());
        visit::visit_macro(self, called);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if for_tests(&item.attrs) {
            return;
        }
        self.function(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.unsafe_signature(signature);
        visit::visit_signature(self, signature);
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        let place = self.place(block.span().start().line, "an unsafe block");
        self.source.unsafe_code.push(place);
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if let Some(word) = item.unsafety {
            let place = self.place(word.span().start().line, "an unsafe impl");
            self.source.unsafe_code.push(place);
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_item_foreign_mod(&mut self, item: &'ast syn::ItemForeignMod) {
        let place = self.place(item.span().start().line, "functions of another language");
        self.source.unsafe_code.push(place);
        visit::visit_item_foreign_mod(self, item);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let is_unsafe = match &attribute.meta {
            Meta::List(list) => {
                list.path.is_ident("unsafe") || list.tokens.to_string().contains("unsafe_code")
            }
            Meta::Path(_) | Meta::NameValue(_) => false,
        };
        if is_unsafe {
            let place = self.place(attribute.span().start().line, "an unsafe attribute");
            self.source.unsafe_code.push(place);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if call.method == "elapsed" {
            let place = self.place(call.method.span().start().line, "elapsed()");
            self.source.clock_reads.push(place);
        }
        visit::visit_expr_method_call(self, call);
    }
}
