namespace NanoLora.Data;

/// <summary>The arguments of a call, a filter or a test.</summary>
internal sealed class JinjaArguments(List<TemplateValue> given, OrderedDictionary<string, TemplateValue> named)
{
    public static readonly JinjaArguments Empty = new([], []);

    public List<TemplateValue> Given { get; } = given;

    public OrderedDictionary<string, TemplateValue> Named { get; } = named;

    /// <summary>
    /// The arguments by parameter: in order, then by name; null where one is not given. Parameters that end in ! must be given.
    /// </summary>
    public TemplateValue?[] Bind(JinjaRenderer r, string function, params ReadOnlySpan<string> parameters)
    {
        if (Given.Count > parameters.Length) throw r.Error($"{function}() takes at most {parameters.Length} arguments ({Given.Count} given)");
        var bound = new TemplateValue?[parameters.Length];
        for (var i = 0; i < Given.Count; i++) bound[i] = Given[i];
        foreach (var (name, value) in Named)
        {
            var at = -1;
            for (var i = 0; i < parameters.Length; i++) if (parameters[i].AsSpan().TrimEnd('!').SequenceEqual(name)) at = i;
            if (at < 0) throw r.Error($"{function}() got an unexpected keyword argument '{name}'");
            if (bound[at] is not null) throw r.Error($"{function}() got multiple values for argument '{name}'");
            bound[at] = value;
        }
        for (var i = 0; i < parameters.Length; i++)
            if (bound[i] is null && parameters[i].EndsWith('!')) throw r.Error($"{function}() missing required argument '{parameters[i][..^1]}'");
        return bound;
    }

    /// <summary>A whole number that an argument must be.</summary>
    public static int Int(JinjaRenderer r, TemplateValue? value, int fallback)
    {
        if (value is null) return fallback;
        if (!PyNumber.TryInt(value, out var number))
            throw r.Error(JinjaOperators.Problem(value) ?? $"'{value.Type}' object cannot be interpreted as an integer");
        return number > int.MaxValue ? int.MaxValue : number < int.MinValue ? int.MinValue : (int)number;
    }

    /// <summary>A text that an argument must be.</summary>
    public static string Text(JinjaRenderer r, TemplateValue value) => value is TextValue text ? text.Value
        : throw r.Error(JinjaOperators.Problem(value) ?? $"a str is expected where '{value.Type}' is given");

    /// <summary>Whether an argument is true.</summary>
    public static bool Flag(TemplateValue? value) => value is not null && JinjaOperators.IsTrue(value);

    /// <summary>An argument that none and nothing leave out.</summary>
    public static TemplateValue? OrNull(TemplateValue? value) => value is NoneValue ? null : value;
}
