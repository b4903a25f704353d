//! The contract compiled: every schema a flat list of members with its ancestors, every operation
//! with the options, bodies and answers that it has.

use super::routes::Template;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// What the published metadata says, and what the simulator needs of it beside that.
const PUBLISHED: &str = include_str!("../../contract/graph-v1.openapi.json");
const ADDED: &str = include_str!("../../contract/additions.openapi.json");

/// What else is in a path item is about all of them.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Index of an object type.
pub type TypeId = usize;

#[derive(Debug, Default)]
pub struct Contract {
    pub types: Vec<ObjectType>,
    pub type_ids: HashMap<String, TypeId>,
    pub paths: Vec<PathItem>,
}

#[derive(Debug, Default)]
pub struct ObjectType {
    pub name: String,
    pub base: Option<TypeId>,
    /// Own and inherited.
    pub members: HashMap<String, Member>,
    pub required: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Member {
    pub slot: Slot,
    /// A navigation property: in an answer only when expanded.
    pub navigation: bool,
}

/// A place for a value.
#[derive(Clone, Debug)]
pub struct Slot {
    pub shape: Shape,
    pub nullable: bool,
}

#[derive(Clone, Debug)]
pub enum Shape {
    Any,
    Text(Format),
    OneOf(Vec<String>),
    Integer {
        min: i64,
        max: i64,
    },
    Number,
    Boolean,
    List {
        of: Box<Slot>,
        most: usize,
    },
    /// Free names, values of one shape.
    Map(Box<Slot>),
    Object(TypeId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Free,
    DateTime,
    Date,
    Time,
    Uuid,
    Uri,
    Base64,
    /// Not JSON at all: the bytes are the body.
    Binary,
}

#[derive(Debug)]
pub struct PathItem {
    pub template: Template,
    pub operations: HashMap<String, Operation>,
}

#[derive(Debug, Default)]
pub struct Operation {
    /// Query options by name.
    pub options: HashMap<String, Slot>,
    pub request: Option<Body>,
    pub answers: HashMap<u16, Option<Body>>,
}

/// Slots by content type.
#[derive(Debug, Default)]
pub struct Body {
    pub required: bool,
    pub contents: Vec<(String, Slot)>,
}

impl Contract {
    /// Compiles the two documents that are part of this program; a mistake in them is a bug.
    pub fn compiled() -> Self {
        let documents: [Value; 2] =
            [PUBLISHED, ADDED].map(|text| serde_json::from_str(text).expect("the contract is valid JSON"));
        let mut contract = Self::default();
        for document in &documents {
            for (name, schema) in members(&document["components"]["schemas"]) {
                if schema.get("enum").is_none() {
                    contract.declare(name);
                }
            }
        }
        for document in &documents {
            let compile = Compile { documents: &documents };
            for (name, schema) in members(&document["components"]["schemas"]) {
                if let Some(id) = contract.type_ids.get(name).copied() {
                    compile.object(&mut contract, id, schema);
                }
            }
        }
        contract.inherit();
        for document in &documents {
            let compile = Compile { documents: &documents };
            for (path, item) in members(&document["paths"]) {
                let operations = members(item)
                    .filter(|(name, _)| METHODS.contains(&name.as_str()))
                    .map(|(method, operation)| (method.to_uppercase(), compile.operation(&mut contract, operation)))
                    .collect();
                contract.paths.push(PathItem { template: Template::parse(path), operations });
            }
        }
        contract
    }

    fn declare(&mut self, name: &str) -> TypeId {
        let id = self.types.len();
        self.types.push(ObjectType { name: name.to_owned(), ..ObjectType::default() });
        self.type_ids.insert(name.to_owned(), id);
        id
    }

    /// Gives every type the members of its ancestors.
    fn inherit(&mut self) {
        for id in 0..self.types.len() {
            let mut ancestor = self.types[id].base;
            while let Some(base) = ancestor {
                let inherited = self.types[base].members.clone();
                for (name, member) in inherited {
                    self.types[id].members.entry(name).or_insert(member);
                }
                ancestor = self.types[base].base;
            }
        }
    }

    /// The type that an `@odata.type` names, if it is `declared` or one derived from it.
    pub fn derived(&self, declared: TypeId, odata_type: &str) -> Option<TypeId> {
        let named = *self.type_ids.get(odata_type.trim_start_matches('#'))?;
        self.is_a(named, declared)
            .then_some(named)
            // A change is an item with `@removed` beside it, which no `@odata.type` ever names.
            .or_else(|| self.item_of_change(declared).is_some_and(|item| self.is_a(named, item)).then_some(declared))
    }

    fn item_of_change(&self, declared: TypeId) -> Option<TypeId> {
        self.types[declared].base.filter(|_| self.types[declared].name.ends_with("DeltaItem"))
    }

    pub fn is_a(&self, mut one: TypeId, other: TypeId) -> bool {
        loop {
            if one == other {
                return true;
            }
            match self.types[one].base {
                Some(base) => one = base,
                None => return false,
            }
        }
    }
}

struct Compile<'a> {
    documents: &'a [Value],
}

impl Compile<'_> {
    fn operation(&self, contract: &mut Contract, operation: &Value) -> Operation {
        let mut compiled = Operation::default();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let parameter = parameter.get("$ref").map_or(parameter, |name| self.find("parameters", name));
            if parameter["in"] == "query" {
                let slot = self.slot(contract, &parameter["schema"]);
                compiled.options.insert(text(&parameter["name"]).to_owned(), slot);
            }
        }
        compiled.request = operation.get("requestBody").map(|body| self.body(contract, body));
        for (status, answer) in members(&operation["responses"]) {
            let body = answer.get("content").map(|_| self.body(contract, answer));
            compiled.answers.insert(status.parse().expect("a status is a number"), body);
        }
        compiled
    }

    fn body(&self, contract: &mut Contract, body: &Value) -> Body {
        let contents = members(&body["content"])
            .map(|(kind, content)| (kind.clone(), self.slot(contract, &content["schema"])))
            .collect();
        Body { required: body["required"] == true, contents }
    }

    fn object(&self, contract: &mut Contract, id: TypeId, schema: &Value) {
        for part in schema["allOf"].as_array().into_iter().flatten() {
            match part.get("$ref") {
                Some(base) => contract.types[id].base = contract.type_ids.get(name_in(base)).copied(),
                None => self.object(contract, id, part),
            }
        }
        for (name, schema) in members(&schema["properties"]) {
            let navigation = schema["x-ms-navigationProperty"] == true;
            let slot = self.slot(contract, schema);
            contract.types[id].members.insert(name.clone(), Member { slot, navigation });
        }
        let required = schema["required"].as_array().into_iter().flatten().map(|name| text(name).to_owned());
        contract.types[id].required.extend(required);
    }

    fn slot(&self, contract: &mut Contract, schema: &Value) -> Slot {
        // `anyOf [type, null]` is how a nullable type is written, `allOf [type]` a navigation to one.
        let alternatives = schema["anyOf"].as_array().or_else(|| schema["allOf"].as_array());
        if let Some(first) = alternatives.and_then(|all| all.first()) {
            return Slot { nullable: true, ..self.slot(contract, first) };
        }
        if let Some(reference) = schema.get("$ref") {
            return match contract.type_ids.get(name_in(reference)) {
                Some(id) => Slot { shape: Shape::Object(*id), nullable: false },
                None => self.slot(contract, self.find("schemas", reference)),
            };
        }
        let nullable = schema["nullable"] == true;
        Slot { shape: self.shape(contract, schema), nullable }
    }

    fn shape(&self, contract: &mut Contract, schema: &Value) -> Shape {
        if let Some(values) = schema["enum"].as_array() {
            return Shape::OneOf(values.iter().map(|value| text(value).to_owned()).collect());
        }
        let format = text(&schema["format"]);
        match text(&schema["type"]) {
            "string" => Shape::Text(match format {
                "date-time" => Format::DateTime,
                "date" => Format::Date,
                "time" => Format::Time,
                "uuid" => Format::Uuid,
                "uri" => Format::Uri,
                "byte" => Format::Base64,
                "binary" => Format::Binary,
                _ => Format::Free,
            }),
            "integer" => {
                let (min, max) = match format {
                    "int16" => (i64::from(i16::MIN), i64::from(i16::MAX)),
                    "int32" => (i64::from(i32::MIN), i64::from(i32::MAX)),
                    _ => (i64::MIN, i64::MAX),
                };
                Shape::Integer { min: schema["minimum"].as_i64().unwrap_or(min), max }
            }
            "number" => Shape::Number,
            "boolean" => Shape::Boolean,
            "array" => {
                let most = schema["maxItems"].as_u64().map_or(usize::MAX, |most| most as usize);
                Shape::List { of: Box::new(self.slot(contract, &schema["items"])), most }
            }
            "object" => match schema.get("additionalProperties") {
                Some(of) => Shape::Map(Box::new(self.slot(contract, of))),
                None => {
                    let id = contract.types.len();
                    contract.types.push(ObjectType::default());
                    self.object(contract, id, schema);
                    Shape::Object(id)
                }
            },
            _ => Shape::Any,
        }
    }

    fn find(&self, section: &str, reference: &Value) -> &Value {
        let name = name_in(reference);
        let mut found = self.documents.iter().filter_map(|document| document["components"][section].get(name));
        found.next().expect("a reference of the contract points at something")
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn name_in(reference: &Value) -> &str {
    text(reference).rsplit('/').next().unwrap_or_default()
}
