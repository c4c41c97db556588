using System.CommandLine;
using System.Globalization;

namespace NanoLora.Cli;

/// <summary>The kinds of options that commands have: each reads its word itself, so that an error says what was expected.</summary>
internal static class Inputs
{
    /// <summary>A whole number.</summary>
    public static Option<int> Whole(string name, string description, int fallback, int least = 1) => new(name)
    {
        Description = description, HelpName = "N", DefaultValueFactory = _ => fallback,
        CustomParser = result => Read(result, name, $"a whole number from {least} on", (string word, out int value) => IsWhole(word, least, out value)),
    };

    /// <summary>A whole number that may be left out.</summary>
    public static Option<int?> OptionalWhole(string name, string description, int least = 1) => new(name)
    {
        Description = description, HelpName = "N",
        CustomParser = result => Read(result, name, $"a whole number from {least} on", (string word, out int? value) =>
        {
            var read = IsWhole(word, least, out var whole);
            value = whole;
            return read;
        }),
    };

    /// <summary>Whole numbers with commas between.</summary>
    public static Option<WholeNumbers> Wholes(string name, string description, IReadOnlyList<int> fallback, int least = 1) => new(name)
    {
        Description = description, HelpName = "N,N", DefaultValueFactory = _ => new(fallback), Arity = ArgumentArity.ExactlyOne,
        CustomParser = result => Read(result, name, $"different whole numbers from {least} on with commas between", (string word, out WholeNumbers value) =>
        {
            var words = word.Split(',');
            var numbers = new int[words.Length];
            value = new(numbers);
            for (var i = 0; i < words.Length; i++) if (!IsWhole(words[i], least, out numbers[i])) return false;
            return numbers.Distinct().Count() == numbers.Length;
        }),
    };

    /// <summary>A number that may be left out.</summary>
    /// <param name="name">The option.</param>
    /// <param name="description">What it means.</param>
    /// <param name="least">The smallest that makes sense.</param>
    /// <param name="below">The first beyond those that make sense.</param>
    public static Option<double?> Number(string name, string description, double least = double.Epsilon, double below = double.PositiveInfinity)
    {
        var expected = (least, below) switch
        {
            (double.Epsilon, _) => "a positive number",
            (double.NegativeInfinity, _) => "a number",
            (_, double.PositiveInfinity) => string.Create(CultureInfo.InvariantCulture, $"a number from {least} on"),
            _ => string.Create(CultureInfo.InvariantCulture, $"a number from {least} to less than {below}"),
        };
        return new(name)
        {
            Description = description, HelpName = "X",
            CustomParser = result => Read(result, name, expected, (string word, out double? value) =>
            {
                var read = double.TryParse(word, NumberStyles.Float, CultureInfo.InvariantCulture, out var number);
                value = number;
                return read && double.IsFinite(number) && number >= least && number < below;
            }),
        };
    }

    /// <summary>The seed of all random numbers.</summary>
    public static Option<ulong> Seed(string description) => new("--seed")
    {
        Description = description, HelpName = "N", DefaultValueFactory = _ => 1,
        CustomParser = result => Read(result, "--seed", "a whole number from 0 on",
            (string word, out ulong value) => ulong.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out value)),
    };

    /// <summary>A text that may be left out.</summary>
    public static Option<string?> Text(string name, string helpName, string description) => new(name) { Description = description, HelpName = helpName };

    /// <summary>A text with a value of its own where it is left out.</summary>
    public static Option<string> Text(string name, string helpName, string description, string fallback) =>
        new(name) { Description = description, HelpName = helpName, DefaultValueFactory = _ => fallback };

    /// <summary>A text that must be there.</summary>
    public static Option<string> Required(string name, string helpName, string description) =>
        new(name) { Description = description, HelpName = helpName, Required = true };

    /// <summary>A text that may be given several times.</summary>
    public static Option<string[]> Texts(string name, string helpName, string description) =>
        new(name) { Description = description, HelpName = helpName, Arity = ArgumentArity.OneOrMore, AllowMultipleArgumentsPerToken = false };

    /// <summary>Numbers with commas between; none if not given.</summary>
    public static Option<float[]> Numbers(string name, string description) => new(name)
    {
        Description = description, HelpName = "X,X",
        CustomParser = result => Read(result, name, "numbers with commas between", (string word, out float[] value) =>
        {
            var words = word.Split(',');
            value = new float[words.Length];
            for (var i = 0; i < words.Length; i++)
                if (!float.TryParse(words[i], NumberStyles.Float, CultureInfo.InvariantCulture, out value[i]) || !float.IsFinite(value[i])) return false;
            return true;
        }),
    };

    /// <summary>A switch.</summary>
    public static Option<bool> Switch(string name, string description) => new(name) { Description = description };

    private delegate bool Reader<T>(string word, out T value);

    private static T Read<T>(System.CommandLine.Parsing.ArgumentResult result, string name, string expected, Reader<T> reader)
    {
        var word = result.Tokens.Count > 0 ? result.Tokens[0].Value : "";
        if (!reader(word, out var value)) result.AddError($"{name}: \"{word}\" is not {expected}.");
        return value;
    }

    private static bool IsWhole(string word, int least, out int value) =>
        int.TryParse(word, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out value) && value >= least;
}

/// <summary>Whole numbers, shown as they are written.</summary>
internal sealed record WholeNumbers(IReadOnlyList<int> Values)
{
    public override string ToString() => string.Join(',', Values);
}
