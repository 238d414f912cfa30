//! The small language of `data.filter` and `data.select`: comparisons of columns, joined by `and`,
//! `or` and `not`. It yields true, false or "missing" for a row; it changes no value.
//!
//! ```text
//! expression = conjunction { "or" conjunction }
//! conjunction = negation { "and" negation }
//! negation   = "not" negation | comparison
//! comparison = sum [ ("==" | "!=" | "<" | "<=" | ">" | ">=") sum
//!                  | ["not"] "in" "[" sum { "," sum } "]"
//!                  | ["not"] "like" text          a pattern with `*` for any characters
//!                  | "is" ["not"] "missing" ]
//! sum        = product { ("+" | "-") product }
//! product    = factor { ("*" | "/") factor }
//! factor     = "-" factor | number | text | "true" | "false" | name | "(" expression ")"
//! ```
//!
//! A text stands in `'...'` or `"..."`, a name with blanks or signs in backticks. Dates are compared
//! with texts such as `'2024-02-29'`. What is missing makes a comparison missing, as in SQL.

use std::cmp::Ordering;

use crate::column::Column;
use crate::dates;
use crate::error::{Error, nearest};

/// A parsed expression.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    /// Key of the pipeline file, for messages.
    field: &'static str,
    text: String,
    root: Node,
}

#[derive(Clone, Debug)]
struct Node {
    /// Where it starts, in bytes.
    at: usize,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Number(f64),
    Text(String),
    Bool(bool),
    Name(String),
    Negate(Box<Node>),
    Not(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    Arithmetic(char, Box<Node>, Box<Node>),
    Compare(Comparison, Box<Node>, Box<Node>),
    In(Box<Node>, Vec<Node>),
    Like(Box<Node>, String),
    IsMissing(Box<Node>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterEqual => order.is_ge(),
        }
    }
}

/// What a node yields.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Type {
    Number,
    Text,
    Bool,
    Date,
}

impl Type {
    fn noun(self) -> &'static str {
        match self {
            Type::Number => "a number",
            Type::Text => "a text",
            Type::Bool => "true or false",
            Type::Date => "a date",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Value<'a> {
    Missing,
    Number(f64),
    Text(&'a str),
    Bool(bool),
}

impl Expression {
    /// Parses a text; `field` is the key it stands under.
    ///
    /// # Errors
    /// [`Error::Expression`] with the position.
    pub(crate) fn parse(field: &'static str, text: &str) -> Result<Self, Error> {
        let mut parser = Parser { field, text, at: 0, depth: 0 };
        let root = parser.disjunction()?;
        parser.blanks();
        if parser.at < text.len() {
            return Err(parser.fail(parser.at, "the expression should end here", OPERATORS));
        }
        Ok(Expression { field, text: text.to_owned(), root })
    }

    /// The rows for which the expression is true, in order.
    ///
    /// # Errors
    /// [`Error::Expression`] for a name that is no column, or values that can't be compared.
    pub(crate) fn rows(&self, names: &[String], columns: &[Column]) -> Result<Vec<usize>, Error> {
        let scope = Scope { expression: self, names, columns };
        let yields = scope.check(&self.root)?;
        if yields != Type::Bool {
            let problem = format!("the expression is {}, not a condition", yields.noun());
            return Err(scope.fail(&self.root, problem, "compare it, such as with `> 0`"));
        }
        let n_rows = columns.first().map_or(0, Column::len);
        Ok((0..n_rows).filter(|&row| scope.value(&self.root, row) == Value::Bool(true)).collect())
    }
}

const OPERATORS: &str = "join conditions by `and` or `or`; compare by `==`, `!=`, `<`, `<=`, `>`, \
                         `>=`, `in [...]`, `like '...'` or `is missing`";

fn fail(field: &'static str, text: &str, at: usize, problem: String, hint: String) -> Error {
    let rest: String = text[at..].chars().take(24).collect();
    let before = text[..at].chars().count();
    let place = match rest.is_empty() {
        true => "at its end".to_owned(),
        false => format!("character {}, at `{rest}`", before + 1),
    };
    Error::Expression { field, place, problem, hint }
}

/// What the names of an expression mean.
struct Scope<'a> {
    expression: &'a Expression,
    names: &'a [String],
    columns: &'a [Column],
}

impl<'a> Scope<'a> {
    fn fail(&self, node: &Node, problem: String, hint: impl Into<String>) -> Error {
        let Expression { field, text, .. } = self.expression;
        fail(field, text, node.at, problem, hint.into())
    }

    fn column(&self, name: &str) -> Option<&'a Column> {
        let at = self.names.iter().position(|known| known == name)?;
        Some(&self.columns[at])
    }

    /// The type of a node, after all below it have been checked.
    fn check(&self, node: &Node) -> Result<Type, Error> {
        match &node.what {
            What::Number(_) => Ok(Type::Number),
            What::Text(_) => Ok(Type::Text),
            What::Bool(_) => Ok(Type::Bool),
            What::Name(name) => match self.column(name) {
                Some(Column::Numbers(_)) => Ok(Type::Number),
                Some(Column::Booleans(_)) => Ok(Type::Bool),
                Some(Column::Levels(_)) => Ok(Type::Text),
                Some(Column::Dates(_)) => Ok(Type::Date),
                None => {
                    let hint = nearest(name, self.names.iter().map(String::as_str));
                    Err(self.fail(node, format!("there is no column `{name}`"), hint))
                }
            },
            What::Negate(inner) => self.expect(inner, Type::Number),
            What::Not(inner) => self.expect(inner, Type::Bool),
            What::And(left, right) | What::Or(left, right) => {
                self.expect(left, Type::Bool)?;
                self.expect(right, Type::Bool)
            }
            What::Arithmetic(_, left, right) => {
                self.expect(left, Type::Number)?;
                self.expect(right, Type::Number)
            }
            What::Compare(_, left, right) => self.pair(left, right),
            What::In(left, items) => {
                for item in items {
                    self.pair(left, item)?;
                }
                Ok(Type::Bool)
            }
            What::Like(inner, _) => {
                self.expect(inner, Type::Text)?;
                Ok(Type::Bool)
            }
            What::IsMissing(inner) => {
                self.check(inner)?;
                Ok(Type::Bool)
            }
        }
    }

    fn expect(&self, node: &Node, wanted: Type) -> Result<Type, Error> {
        let found = self.check(node)?;
        if found == wanted {
            return Ok(found);
        }
        let problem = format!("this is {}, not {}", found.noun(), wanted.noun());
        Err(self.fail(node, problem, "compare columns with values of their own type"))
    }

    /// Two nodes that are compared.
    fn pair(&self, left: &Node, right: &Node) -> Result<Type, Error> {
        let (a, b) = (self.check(left)?, self.check(right)?);
        for (node, other) in [(right, a), (left, b)] {
            if let (What::Text(text), Type::Date) = (&node.what, other) {
                return match dates::parse(text) {
                    Some(_) => Ok(Type::Bool),
                    None => {
                        let problem = format!("`{text}` is no date");
                        Err(self.fail(node, problem, "write it as '2024-02-29'"))
                    }
                };
            }
        }
        if a == b {
            return Ok(Type::Bool);
        }
        let problem = format!("{} can't be compared with {}", b.noun(), a.noun());
        let hint = match (a, b) {
            (Type::Text, Type::Number) => {
                "put the value into quotes, or read the column as numeric"
            }
            _ => "compare columns with values of their own type",
        };
        Err(self.fail(right, problem, hint))
    }

    fn value<'s>(&'s self, node: &'s Node, row: usize) -> Value<'s> {
        let truth = |known: Option<bool>| known.map_or(Value::Missing, Value::Bool);
        match &node.what {
            What::Number(number) => Value::Number(*number),
            What::Text(text) => Value::Text(text),
            What::Bool(known) => Value::Bool(*known),
            What::Name(name) => match self.column(name) {
                Some(Column::Numbers(values) | Column::Dates(values)) if !values[row].is_nan() => {
                    Value::Number(values[row])
                }
                Some(Column::Booleans(values)) => truth(values[row]),
                Some(Column::Levels(levels)) => levels.get(row).map_or(Value::Missing, Value::Text),
                _ => Value::Missing,
            },
            What::Negate(inner) => match self.value(inner, row) {
                Value::Number(number) => Value::Number(-number),
                _ => Value::Missing,
            },
            What::Not(inner) => truth(self.truth(inner, row).map(|known| !known)),
            What::And(left, right) => match (self.truth(left, row), self.truth(right, row)) {
                (Some(false), _) | (_, Some(false)) => Value::Bool(false),
                (Some(true), Some(true)) => Value::Bool(true),
                _ => Value::Missing,
            },
            What::Or(left, right) => match (self.truth(left, row), self.truth(right, row)) {
                (Some(true), _) | (_, Some(true)) => Value::Bool(true),
                (Some(false), Some(false)) => Value::Bool(false),
                _ => Value::Missing,
            },
            What::Arithmetic(sign, left, right) => {
                match (self.value(left, row), self.value(right, row)) {
                    (Value::Number(a), Value::Number(b)) => Value::Number(match sign {
                        '+' => a + b,
                        '-' => a - b,
                        '*' => a * b,
                        _ => a / b,
                    }),
                    _ => Value::Missing,
                }
            }
            What::Compare(comparison, left, right) => {
                truth(self.order(left, right, row).map(|order| comparison.holds(order)))
            }
            What::In(left, items) => {
                let orders: Vec<Option<Ordering>> =
                    items.iter().map(|item| self.order(left, item, row)).collect();
                match orders.contains(&Some(Ordering::Equal)) {
                    true => Value::Bool(true),
                    false if orders.contains(&None) => Value::Missing,
                    false => Value::Bool(false),
                }
            }
            What::Like(inner, pattern) => match self.value(inner, row) {
                Value::Text(text) => Value::Bool(like(text, pattern)),
                _ => Value::Missing,
            },
            What::IsMissing(inner) => Value::Bool(self.value(inner, row) == Value::Missing),
        }
    }

    fn truth(&self, node: &Node, row: usize) -> Option<bool> {
        match self.value(node, row) {
            Value::Bool(known) => Some(known),
            _ => None,
        }
    }

    fn order(&self, left: &Node, right: &Node, row: usize) -> Option<Ordering> {
        match (self.value(left, row), self.value(right, row)) {
            (Value::Number(a), Value::Number(b)) => a.partial_cmp(&b),
            (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
            (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(&b)),
            // `check` lets a text meet a number only where the number is a date.
            (Value::Number(a), Value::Text(b)) => a.partial_cmp(&dates::parse(b)?),
            (Value::Text(a), Value::Number(b)) => dates::parse(a)?.partial_cmp(&b),
            _ => None,
        }
    }
}

/// Whether a text fits a pattern in which `*` stands for any characters.
fn like(text: &str, pattern: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

struct Parser<'t> {
    field: &'static str,
    text: &'t str,
    at: usize,
    depth: usize,
}

/// Brackets and negations within each other; more than a person writes, fewer than overflow.
const MOST_DEPTH: usize = 64;

impl<'t> Parser<'t> {
    fn fail(&self, at: usize, problem: impl Into<String>, hint: &str) -> Error {
        fail(self.field, self.text, at, problem.into(), hint.to_owned())
    }

    fn blanks(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Takes a sign where it comes next.
    fn sign(&mut self, sign: &str) -> bool {
        self.blanks();
        let found = self.text[self.at..].starts_with(sign);
        self.at += if found { sign.len() } else { 0 };
        found
    }

    /// Takes a word where it comes next, as a whole.
    fn word(&mut self, word: &str) -> bool {
        self.blanks();
        let found = self.peek_name().is_some_and(|name| name.eq_ignore_ascii_case(word));
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn peek_name(&self) -> Option<&'t str> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        (end > 0).then(|| &rest[..end])
    }

    fn node(at: usize, what: What) -> Node {
        Node { at, what }
    }

    fn disjunction(&mut self) -> Result<Node, Error> {
        let mut left = self.conjunction()?;
        while self.word("or") {
            let (at, right) = (left.at, self.conjunction()?);
            left = Self::node(at, What::Or(Box::new(left), Box::new(right)));
        }
        Ok(left)
    }

    fn conjunction(&mut self) -> Result<Node, Error> {
        let mut left = self.negation()?;
        while self.word("and") {
            let (at, right) = (left.at, self.negation()?);
            left = Self::node(at, What::And(Box::new(left), Box::new(right)));
        }
        Ok(left)
    }

    fn negation(&mut self) -> Result<Node, Error> {
        self.blanks();
        let at = self.at;
        if self.word("not") {
            let inner = self.deeper(Self::negation)?;
            return Ok(Self::node(at, What::Not(Box::new(inner))));
        }
        self.comparison()
    }

    /// One level further down, where there is one left.
    fn deeper(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<Node, Error>,
    ) -> Result<Node, Error> {
        if self.depth == MOST_DEPTH {
            return Err(self.fail(self.at, "too many brackets within each other", "simplify it"));
        }
        self.depth += 1;
        let node = parse(self);
        self.depth -= 1;
        node
    }

    fn comparison(&mut self) -> Result<Node, Error> {
        let left = self.sum()?;
        let at = left.at;
        for (sign, comparison) in [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessEqual),
            (">=", Comparison::GreaterEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ] {
            if self.sign(sign) {
                let right = self.sum()?;
                let what = What::Compare(comparison, Box::new(left), Box::new(right));
                return Ok(Self::node(at, what));
            }
        }
        self.blanks();
        if self.text[self.at..].starts_with('=') {
            return Err(self.fail(self.at, "`=` compares nothing", "write `==`"));
        }
        if self.word("is") {
            let negated = self.word("not");
            if !self.word("missing") {
                let hint = "write `is missing` or `is not missing`";
                return Err(self.fail(self.at, "`missing` should follow `is`", hint));
            }
            return Ok(negate(negated, Self::node(at, What::IsMissing(Box::new(left)))));
        }
        let before = self.at;
        let negated = self.word("not");
        if self.word("in") {
            let items = self.list()?;
            return Ok(negate(negated, Self::node(at, What::In(Box::new(left), items))));
        }
        if self.word("like") {
            self.blanks();
            let Some(pattern) = self.quoted()? else {
                return Err(self.fail(self.at, "a text should follow `like`", "such as 'pixel_*'"));
            };
            return Ok(negate(negated, Self::node(at, What::Like(Box::new(left), pattern))));
        }
        self.at = before;
        Ok(left)
    }

    fn list(&mut self) -> Result<Vec<Node>, Error> {
        let hint = "such as `in ['a', 'b']`";
        if !self.sign("[") {
            return Err(self.fail(self.at, "`[` should follow `in`", hint));
        }
        let mut items = vec![self.sum()?];
        while self.sign(",") {
            items.push(self.sum()?);
        }
        if !self.sign("]") {
            return Err(self.fail(self.at, "`,` or `]` should come here", hint));
        }
        Ok(items)
    }

    fn sum(&mut self) -> Result<Node, Error> {
        self.chain(['+', '-'], Self::product)
    }

    fn product(&mut self) -> Result<Node, Error> {
        self.chain(['*', '/'], Self::factor)
    }

    fn chain(
        &mut self,
        signs: [char; 2],
        part: fn(&mut Self) -> Result<Node, Error>,
    ) -> Result<Node, Error> {
        let mut left = part(self)?;
        loop {
            self.blanks();
            let Some(sign) = self.text[self.at..].chars().next().filter(|c| signs.contains(c))
            else {
                return Ok(left);
            };
            self.at += sign.len_utf8();
            let (at, right) = (left.at, part(self)?);
            left = Self::node(at, What::Arithmetic(sign, Box::new(left), Box::new(right)));
        }
    }

    fn factor(&mut self) -> Result<Node, Error> {
        self.blanks();
        let at = self.at;
        if self.sign("-") {
            let inner = self.deeper(Self::factor)?;
            return Ok(Self::node(at, What::Negate(Box::new(inner))));
        }
        if self.sign("(") {
            let inner = self.deeper(Self::disjunction)?;
            if !self.sign(")") {
                return Err(self.fail(self.at, "`)` should come here", OPERATORS));
            }
            return Ok(inner);
        }
        if let Some(text) = self.quoted()? {
            return Ok(Self::node(at, What::Text(text)));
        }
        let rest = &self.text[at..];
        if let Some(name) = rest.strip_prefix('`') {
            let Some(end) = name.find('`') else {
                return Err(self.fail(at, "a backtick is opened and never closed", "close it"));
            };
            self.at += end + 2;
            return Ok(Self::node(at, What::Name(name[..end].to_owned())));
        }
        if rest.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            let exponent = |i: usize| i > 0 && matches!(rest.as_bytes()[i - 1], b'e' | b'E');
            let end = rest
                .char_indices()
                .find(|&(i, c)| {
                    !(c.is_ascii_alphanumeric() || c == '.' || (exponent(i) && "+-".contains(c)))
                })
                .map_or(rest.len(), |(i, _)| i);
            let Ok(number) = rest[..end].parse() else {
                let problem = format!("`{}` is no number", &rest[..end]);
                let hint = "put names that start with a digit into backticks";
                return Err(self.fail(at, problem, hint));
            };
            self.at += end;
            return Ok(Self::node(at, What::Number(number)));
        }
        let Some(name) = self.peek_name() else {
            let hint = "write a column, a number, or a text in quotes";
            return Err(self.fail(at, "a value should come here", hint));
        };
        let reserved = ["and", "or", "not", "in", "is", "like", "missing"];
        if reserved.iter().any(|word| name.eq_ignore_ascii_case(word)) {
            let hint = "a column of this name needs backticks";
            return Err(self.fail(at, format!("a value should come before `{name}`"), hint));
        }
        self.at += name.len();
        Ok(Self::node(
            at,
            match name {
                "true" => What::Bool(true),
                "false" => What::Bool(false),
                _ => What::Name(name.to_owned()),
            },
        ))
    }

    /// Takes a text in quotes where one comes next.
    fn quoted(&mut self) -> Result<Option<String>, Error> {
        let at = self.at;
        let rest = &self.text[at..];
        let Some(quote) = rest.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
            return Ok(None);
        };
        let Some(end) = rest[1..].find(quote) else {
            return Err(self.fail(at, "a quote is opened and never closed", "close it"));
        };
        self.at += end + 2;
        Ok(Some(rest[1..=end].to_owned()))
    }
}

fn negate(negated: bool, node: Node) -> Node {
    match negated {
        true => Node { at: node.at, what: What::Not(Box::new(node)) },
        false => node,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::Levels;

    fn table() -> (Vec<String>, Vec<Column>) {
        let names = ["age", "job", "on", "day", "hours per week"].map(String::from).to_vec();
        let texts = ["cook", "clerk", "cook"].map(Some).into_iter().chain([None]);
        let columns = vec![
            Column::Numbers(vec![20.0, 30.0, 40.0, f64::NAN]),
            Column::Levels(Levels::of(texts)),
            Column::Booleans(vec![Some(true), Some(false), None, Some(true)]),
            Column::Dates(vec![0.0, 19_782.0, 1.0, f64::NAN]),
            Column::Numbers(vec![1.0, 2.0, 3.0, 4.0]),
        ];
        (names, columns)
    }

    fn rows(text: &str) -> Result<Vec<usize>, String> {
        let (names, columns) = table();
        let expression = Expression::parse("data.filter", text).map_err(|e| e.to_string())?;
        expression.rows(&names, &columns).map_err(|e| e.to_string())
    }

    #[test]
    fn conditions_pick_rows() {
        for (text, expected) in [
            ("age >= 30", vec![1, 2]),
            ("age is missing", vec![3]),
            ("age is not missing and job == 'cook'", vec![0, 2]),
            ("not (age > 25)", vec![0]),
            ("job in ['clerk', \"x\"] or age < 25", vec![0, 1]),
            ("job not in ['clerk']", vec![0, 2]),
            ("job like 'co*k'", vec![0, 2]),
            ("job not like '*er*'", vec![0, 2]),
            ("on", vec![0, 3]),
            ("on == false", vec![1]),
            ("day > '2024-01-01'", vec![1]),
            ("`hours per week` * 10 - 5 > age / 2 + 1e0", vec![2]),
            ("-age < -30", vec![2]),
            ("age == 20 or age == 30 and job == 'cook'", vec![0]),
            ("true", vec![0, 1, 2, 3]),
        ] {
            assert_eq!(rows(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn errors_name_the_position() {
        for (text, said) in [
            ("aeg > 3", "`data.filter`, character 1, at `aeg > 3`: there is no column `aeg`"),
            ("age > 3 and", "at its end: a value should come here"),
            ("age = 3", "character 5, at `= 3`: `=` compares nothing\nhint: write `==`"),
            ("age > 'x'", "character 7, at `'x'`: a text can't be compared with a number"),
            ("job == 3", "hint: put the value into quotes"),
            ("age", "the expression is a number, not a condition"),
            ("(age > 3", "at its end: `)` should come here"),
            ("age > 3)", "character 8, at `)`: the expression should end here"),
            ("age in 3", "character 8, at `3`: `[` should follow `in`"),
            ("job like 3", "a text should follow `like`"),
            ("age is 3", "`missing` should follow `is`"),
            ("job == 'cook", "character 8, at `'cook`: a quote is opened and never closed"),
            ("1x > 3", "`1x` is no number"),
            ("day > 'soon'", "`soon` is no date"),
            ("job + 1 > 2", "this is a text, not a number"),
            ("and", "a value should come before `and`"),
            ("age > 3 age", "character 9, at `age`: the expression should end here"),
            ("é > 3", "there is no column `é`"),
        ] {
            let error = rows(text).unwrap_err();
            assert!(error.contains(said) && error.contains("\nhint: "), "{text}: {error}");
        }
        let deep = "(".repeat(500);
        assert!(rows(&deep).unwrap_err().contains("too many brackets"));
    }
}
