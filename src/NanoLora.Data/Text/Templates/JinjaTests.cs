namespace NanoLora.Data;

/// <summary>The tests: what may stand behind <c>is</c>.</summary>
internal static class JinjaTests
{
    public static bool Holds(JinjaRenderer r, string name, TemplateValue value, JinjaArguments a)
    {
        r.Step();
        switch (name)
        {
            case "eq" or "equalto" or "==": return Compares("==");
            case "ne" or "!=": return Compares("!=");
            case "lt" or "lessthan" or "<": return Compares("<");
            case "le" or "<=": return Compares("<=");
            case "gt" or "greaterthan" or ">": return Compares(">");
            case "ge" or ">=": return Compares(">=");
            case "in": return Compares("in");
            case "sameas": return IsSame(r, value, a.Bind(r, name, "other!")[0]!);
            case "divisibleby": return !JinjaOperators.IsTrue(JinjaOperators.Binary(r, "%", value, a.Bind(r, name, "num!")[0]!));
        }
        if (!Exists(name)) throw r.Error($"No test named {PyText.Repr(name)}.");
        a.Bind(r, name);
        return name switch
        {
            "defined" => value is not UndefinedValue,
            "undefined" => value is UndefinedValue,
            "none" => value is NoneValue,
            "boolean" => value is BoolValue,
            "true" => value is BoolValue { Value: true },
            "false" => value is BoolValue { Value: false },
            "integer" => value is IntValue,
            "float" => value is FloatValue,
            "number" => PyNumber.IsNumber(value),
            "string" => value is TextValue,
            "mapping" => value is MapValue,
            "sequence" => value is TextValue or MapValue or UndefinedValue or SequenceValue { HasElements: true },
            "iterable" => value is TextValue or MapValue or UndefinedValue or SequenceValue or LoopValue,
            "callable" => value is FunctionValue or UndefinedValue or LoopValue,
            "odd" => Rest(r, value) is { } rest && JinjaOperators.AreEqual(r, rest, new IntValue(1)),
            "even" => !JinjaOperators.IsTrue(Rest(r, value)),
            "lower" => PyText.IsAllCase(r.Charge(JinjaPrinter.Text(r, value)), upper: false),
            "upper" => PyText.IsAllCase(r.Charge(JinjaPrinter.Text(r, value)), upper: true),
            "filter" => value is TextValue f && JinjaFilters.Exists(f.Value),
            "test" => value is TextValue t && Exists(t.Value),
            _ => false,                                     // "escaped": nothing is
        };

        bool Compares(string symbol) => CompareExpression.Holds(r, symbol, value, a.Bind(r, name, "other!")[0]!);
    }

    private static bool Exists(string name) => name is
        "boolean" or "callable" or "defined" or "divisibleby" or "eq" or "equalto" or "escaped" or "even" or "false" or "filter" or "float" or "ge"
        or "greaterthan" or "gt" or "in" or "integer" or "iterable" or "le" or "lessthan" or "lower" or "lt" or "mapping" or "ne" or "none"
        or "number" or "odd" or "sameas" or "sequence" or "string" or "test" or "true" or "undefined" or "upper" or "==" or "!=" or "<" or "<="
        or ">" or ">=";

    private static TemplateValue Rest(JinjaRenderer r, TemplateValue value) => JinjaOperators.Binary(r, "%", value, new IntValue(2));

    // Small whole numbers and texts of a template are one object in the reference; so far as anybody asks, sameas is equality of the same type.
    private static bool IsSame(JinjaRenderer r, TemplateValue x, TemplateValue y) => (x, y) switch
    {
        (NoneValue, NoneValue) or (BoolValue, BoolValue) or (IntValue, IntValue) or (TextValue, TextValue) => JinjaOperators.AreEqual(r, x, y),
        _ => ReferenceEquals(x, y),
    };
}
